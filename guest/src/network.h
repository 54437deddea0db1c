/* The capsule's network as QEMU's user network expects it: lo, and eth0 as 10.0.2.15/24 when there is a NIC. */
#ifndef NETWORK_H
#define NETWORK_H
void network_up(void);
#endif
