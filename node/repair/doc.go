// Package repair finds what is wrong with stored shards and makes it right. Its workers:
//
//   - heal rebuilds the shards of a stripe that are damaged or missing from those that are right.
//   - drop takes dead versions off their shards, for the metadata groups that this node leads.
//   - sweep finds shards whose owners never came to life, as a crashed upload leaves them.
//   - scrub reads everything again in a stated period, and heals what it finds.
//   - rebalance brings shards home that lie elsewhere, as after a change of the layout.
//   - check finds stripes that lack shards, has them healed, and counts what more losses they survive.
//   - verify finds stripes that versions and parts of open uploads name and of which nothing is left on any drive.
//   - recode puts versions and parts of open uploads into shards of the present profile when that has become safer.
//   - lifecycle carries out the lifecycle rules of buckets, for the metadata groups that this node leads.
//   - compact gives back what deleted metadata takes on disk.
//
// What holds: no worker drops a shard by its own judgement; it asks the node that has the shard,
// which asks the owner's group. All workers show a name, a state, progress and their last error.
package repair
