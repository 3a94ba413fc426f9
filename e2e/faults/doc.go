// Package faults runs clusters of real processes under load while processes are killed and
// paused, the network is cut and slow, clocks are wrong, drives break and members come and go. What clients were told
// is checked: some order of all requests must explain every answer, and what a GET reads
// must be whole.
//
// What runs by default fits into make test; E2E_FULL runs the rest. E2E_MINUTES is the length of TestFaults;
// E2E_SEED repeats a schedule of faults as far as real processes repeat themselves, and
// E2E_FAULTS names the only faults that may happen, such as "delay,join and drain". Tests
// that need root, iproute2, nftables or loop devices skip where these are missing, except
// where CI is set.
package faults
