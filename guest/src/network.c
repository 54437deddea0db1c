/* See network.h. Addresses: QEMU documentation, "Using the user mode network stack". */
#define _GNU_SOURCE
#include "network.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS "10.0.2.15"
#define NETMASK "255.255.255.0"
#define GATEWAY "10.0.2.2"
#define RESOLVER "nameserver 10.0.2.3\n"

static struct sockaddr address(const char *text) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  inet_pton(AF_INET, text, &in.sin_addr);
  struct sockaddr out;
  memcpy(&out, &in, sizeof out);
  return out;
}

static bool up(int s, const char *name) {
  struct ifreq r = {0};
  strcpy(r.ifr_name, name);
  if (ioctl(s, SIOCGIFFLAGS, &r)) return false;
  r.ifr_flags |= IFF_UP;
  return ioctl(s, SIOCSIFFLAGS, &r) == 0;
}

static bool configure(int s) {
  struct ifreq r = {0};
  strcpy(r.ifr_name, "eth0");
  r.ifr_addr = address(ADDRESS);
  if (ioctl(s, SIOCSIFADDR, &r)) return false; /* no NIC */
  r.ifr_netmask = address(NETMASK);
  if (ioctl(s, SIOCSIFNETMASK, &r) || !up(s, "eth0")) return false;
  struct rtentry route = {.rt_dst = address("0.0.0.0"),
                          .rt_genmask = address("0.0.0.0"),
                          .rt_gateway = address(GATEWAY),
                          .rt_flags = RTF_UP | RTF_GATEWAY};
  return ioctl(s, SIOCADDRT, &route) == 0;
}

/* A capsule without network still runs commands, so nothing here is fatal. */
void network_up(void) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return;
  up(s, "lo");
  if (configure(s)) {
    struct stat st;
    if (lstat("/etc/resolv.conf", &st) == 0 && S_ISLNK(st.st_mode)) unlink("/etc/resolv.conf"); /* into nowhere */
    int fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
      if (write(fd, RESOLVER, strlen(RESOLVER)) < 0) unlink("/etc/resolv.conf");
      close(fd);
    }
  }
  close(s);
}
