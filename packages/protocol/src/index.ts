/** The language between control plane and hosts: types only, shared by domain and drivers. */
export * from './capsules.ts';
export * from './guest.ts';
