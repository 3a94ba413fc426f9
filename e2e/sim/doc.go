// Package sim runs a whole cluster in one loop under one seed: nodes, network, disks, clocks, clients, background work, an operator and
// the faults of all of them. Nothing runs at the same time: each step does one thing that the seed chooses, and checks what must hold
// after it. A seed that fails fails again.
//
// Real are the replication (consensus, with its logs in databases on disks in memory that lose what was not synced), the metadata (meta),
// the controller's core, the placement tables and layouts. Modelled, each after the code that it stands for, are the shard stores, the
// nodes' answers, the clients, the repair workers, the failure detector and the network, since those consist of goroutines. Chunks have no
// bytes: a shard carries the number of its content.
//
// One bucket has object lock: no version of it may be removed while it is locked. Uploads in parts begin before the cluster grows and stay open
// while it does: no part that was acknowledged may be lost. Renames, delete markers, revocation and the recovery of groups by hand are not
// simulated.
//
// SHOAL_SIM_SEEDS is the number of seeds that TestSimulation runs, SHOAL_SIM_FROM the first, and SHOAL_SIM_DIGESTS a file that gets a line for
// each; SHOAL_SIM_SEED picks one for TestSeed, which then tells what happens.
package sim
