// Package netns makes networks of hosts that are network namespaces, where packets between any of
// them can be lost or come late, and the bytes that cross are counted.
//
// A Network touches nothing of the machine's own network. Processes are started and connections
// made inside of a Host. It needs Linux, root, ip and nft; Available says what is missing. Delays
// need no queueing discipline of the kernel.
package netns
