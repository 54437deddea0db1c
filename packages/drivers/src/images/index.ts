/** Images for capsules: kernel, initramfs and root file systems. For drivers and tests that boot capsules. */
export type { InitramfsImage } from './initramfs.ts';
export type { KernelImage } from './kernel.ts';
export type { RootfsImage } from './rootfs.ts';
export { createImageStore, defaultCacheDir, type ImageStore, type ImageStoreOptions } from './store.ts';
