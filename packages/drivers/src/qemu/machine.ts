/**
 * The QEMU command line of a capsule, as data. Pure. The machine, its devices and their order are the same
 * for a template and everything cloned from it, because device state loads only into an equal machine.
 * Recipe and measurements: docs/capsules.md, section "How a clone is made".
 */

/** Paths as the confined QEMU sees them (see jail.ts for the binds). */
export const INSIDE = {
  /** The template: mem, devices, disk.qcow2. */
  template: '/t',
  /** Root file system images. */
  images: '/b',
  /** The capsule's own: disk.qcow2 and the sockets under run/. */
  capsule: '/c',
  /** Kernel and initramfs; only while a template boots. */
  boot: '/k',
} as const;

export interface Machine {
  acceleration: 'kvm' | 'tcg';
  vcpus: number;
  memoryMb: number;
  /** Name of the root file system under images. */
  rootfs: string;
  /** A snapshot template brings its own disk between the image and the capsule's. */
  templateDisk: boolean;
  /** Outbound network through QEMU's user network; without it the card is there, but nothing behind it. */
  egress: boolean;
  paths: { template: string; images: string; capsule: string; boot: string };
  /** `rom=off` is known from QEMU 8.2 on; before, readonly-memory.c does its work. */
  readonlyMemoryOption: boolean;
}

/** Either boots and lets its memory become the template, or waits for a state to be loaded. */
export type Start = { kind: 'boot'; commandLine: string } | { kind: 'restore' };

const TRANSLATION_BUFFER_MB = 96;

/**
 * Everything the emulator can do, except what only costs: five-level paging, and the protections of a kernel
 * from its own users, which make every system call leave the translated code.
 */
const EMULATED_CPU = 'max,-la57,-smap,-smep,-umip,-pku';

/** Memory that QEMU needs beyond the guest's, MB: for the limit on its process. */
export const OVERHEAD_MB = TRANSLATION_BUFFER_MB + 128;

/** Arguments after `qemu-system-x86_64`. */
export function machineArgs(machine: Machine, start: Start): string[] {
  const { paths } = machine;
  const memory = [
    'memory-backend-file,id=mem',
    `size=${machine.memoryMb}M`,
    `mem-path=${paths.template}/mem`,
    start.kind === 'boot' ? 'share=on' : 'share=off',
    ...(start.kind === 'restore' && machine.readonlyMemoryOption ? ['readonly=on', 'rom=off'] : []),
  ].join(',');
  const kvm = machine.acceleration === 'kvm';
  return [
    '-M',
    'microvm,x-option-roms=off,pit=on,pic=off,rtc=off,isa-serial=off,acpi=on,pcie=off,usb=off,suppress-vmdesc=on,memory-backend=mem',
    '-accel',
    kvm ? 'kvm' : `tcg,tb-size=${TRANSLATION_BUFFER_MB}`,
    '-cpu',
    kvm ? 'host' : EMULATED_CPU,
    '-smp',
    String(machine.vcpus),
    '-m',
    String(machine.memoryMb),
    '-object',
    memory,
    // xen-save-devices-state writes no configuration section; without this the load would look for one.
    '-global',
    'migration.send-configuration=off',
    '-nodefaults',
    '-no-user-config',
    '-nographic',
    '-no-reboot',
    '-sandbox',
    'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ...(start.kind === 'boot'
      ? [
          '-kernel',
          `${paths.boot}/vmlinuz`,
          '-initrd',
          `${paths.boot}/initramfs`,
          '-append',
          start.commandLine,
        ]
      : ['-S', '-incoming', 'defer']),
    ...port(paths.capsule),
    ...disk(machine),
    '-netdev',
    `user,id=net,ipv6=off,restrict=${machine.egress ? 'off' : 'on'}`,
    '-device',
    'virtio-net-device,netdev=net,mac=52:54:00:12:34:56',
    '-object',
    'rng-builtin,id=rng',
    '-device',
    'virtio-rng-device,rng=rng',
    '-qmp',
    `unix:${paths.capsule}/run/qmp.sock,server=on,wait=off`,
  ];
}

function port(dir: string): string[] {
  const args = ['-device', 'virtio-serial-device,max_ports=3'];
  for (const name of ['ctl', 'bulk']) {
    args.push('-chardev', `socket,id=${name},path=${dir}/run/${name}.sock,server=on,wait=off`);
    args.push('-device', `virtserialport,chardev=${name},name=${name}`);
  }
  return args;
}

function disk(machine: Machine): string[] {
  const { paths } = machine;
  const nodes = [
    `driver=file,node-name=base-file,filename=${paths.images}/${machine.rootfs},read-only=on,locking=off`,
    'driver=raw,node-name=base,file=base-file,read-only=on',
  ];
  if (machine.templateDisk) {
    nodes.push(
      `driver=file,node-name=template-file,filename=${paths.template}/disk.qcow2,read-only=on,locking=off`,
    );
    nodes.push('driver=qcow2,node-name=template,file=template-file,backing=base,read-only=on');
  }
  nodes.push(`driver=file,node-name=disk-file,filename=${paths.capsule}/disk.qcow2,locking=off`);
  nodes.push(
    `driver=qcow2,node-name=disk,file=disk-file,backing=${machine.templateDisk ? 'template' : 'base'},discard=unmap`,
  );
  return [
    ...nodes.flatMap((node) => ['-blockdev', node]),
    '-device',
    'virtio-blk-device,drive=disk,werror=report,rerror=report',
  ];
}

/**
 * Kernel command line of a template. `tscKhz` is the host's time stamp counter: under emulation the kernel's
 * own calibration hangs now and then. Mitigations protect a kernel from its own users' speculation, which
 * emulated code does not do; under KVM they stay on. Address randomisation makes an emulator translate every
 * program anew at each start (a command takes 6 ms without it and 26 ms with it); under KVM it stays on, and
 * anybody can turn it on inside with `sysctl kernel.randomize_va_space=2`.
 */
export function kernelCommandLine(acceleration: 'kvm' | 'tcg', tscKhz: number): string {
  return [
    'quiet loglevel=1 panic=-1 reboot=t',
    'tsc=reliable no_timer_check cryptomgr.notests 8250.nr_uarts=0',
    `tsc_early_khz=${tscKhz}`,
    'audit=0 apparmor=0 init_on_alloc=0 transparent_hugepage=madvise random.trust_cpu=on',
    ...(acceleration === 'tcg' ? ['mitigations=off norandmaps'] : []),
  ].join(' ');
}
