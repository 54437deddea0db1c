#!/bin/sh
# Finishes the tree of the base image "minimal". mmdebstrap runs it on the building machine with the tree as
# $1. What the machine needed to reach its mirrors (proxies, certificates) must not stay.
set -eu
root=$1

chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash user
echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
chmod 0440 "$root/etc/sudoers.d/user"

# A plain prompt: programs read these terminals as often as people do.
for home in "$root/root" "$root/home/user"; do
  cat >"$home/.bashrc" <<'END'
# Interactive shells only.
case $- in *i*) ;; *) return ;; esac
PS1='\u@\h:\w\$ '
HISTCONTROL=ignoreboth
shopt -s checkwinsize
alias ls='ls --color=auto'
END
  cat >"$home/.profile" <<'END'
if [ -n "${BASH_VERSION-}" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi
END
done
chroot "$root" chown user:user /home/user/.bashrc /home/user/.profile

echo capsule >"$root/etc/hostname"
cat >"$root/etc/hosts" <<'END'
127.0.0.1 localhost
127.0.1.1 capsule
::1 localhost ip6-localhost ip6-loopback
END
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
# Empty, not absent: each capsule gets its own.
: >"$root/etc/machine-id"
mkdir -p "$root/var/lib/dbus"
ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"

# sources.list names the mirrors that mmdebstrap was given.
rm -f "$root"/etc/apt/sources.list.d/* "$root/etc/apt/apt.conf.d/99mmdebstrap"
# Stays in force for packages installed later.
mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/01-no-documentation"

rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
  "$root"/var/cache/ldconfig/aux-cache "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/lib/dpkg/*-old
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
