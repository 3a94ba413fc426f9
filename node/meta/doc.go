// Package meta is the replicated state machine of the metadata groups: a deterministic function
// of (state, command) to (state', result), kept in the node's Pebble database.
//
// Group 0 is the system group: settings, bucket directory, members, placements, keyring,
// credentials, invites, named sequences. Every other group is a partition group: keys, versions,
// uploads, owners of shards, garbage, configuration, counters and change feed of its buckets.
//
//	New(Config) *Machine
//	(*Machine).Apply(b, g, entries) ([]any, error)        one *Result for each entry
//	(*Machine).Query(r, g, *Query) (*Answer, error)       any query, as it travels
//	(*Machine).Lookup(r, g, *LookupQuery) (*LookupAnswer, error)   one version: two reads
//	(*Machine).List(r, g, *ListQuery) (*ListPage, error)  keys and common prefixes
//	AppendListPage / ParseListPage                        a ListPage as it travels
//	(*Result).Err(op), (*Answer).Err(op) error            nil or *api.Error
//	AppendMetadata / ParseMetadata                        api.Metadata as it is stored
//	(*Head).DeleteMarker, Inline, NullVersion             flags of a version
//	MaxCommandBytes, MaxManifestBytes, MaxInlineBytes     bounds of a command
//
// What holds:
//
//   - The result and the new state depend on nothing but the state and the commands, in their
//     order. How commands are cut into calls of Apply does not matter. Time is the group clock:
//     the greater of the stamp that the leader gave the command and one more than the last.
//   - A command is refused by a Result with a code; Apply returns an error only when the stored
//     state contradicts itself or cannot be read, and then the batch must not be committed.
//   - A refused command changes nothing but the clock and what expires with it.
//   - Whatever refers to shards has an owner record. When a version or part stops living, the
//     same batch makes its owner dead and adds one garbage entry, and never a second one.
//   - Listings read head records only; contents and manifests lie elsewhere.
//
// The caller of Query, Lookup and List has waited for its read barrier. Those calls may run beside
// Apply, each reads a consistent state, and what they return belongs to the caller.
//
// The package does no I/O but on the batch and reader it is handed, starts no goroutine and
// reads no clock. docs/formats/metadata.md describes keys and records.
package meta

//go:generate protoc --go_out=. --go_opt=paths=source_relative meta.proto
