// Package audit keeps the access log and the log of acts: lines of JSON, each of which carries the hash of the
// one before. What a chain has come to is signed from time to time and kept by other peers, so that whoever
// writes to the disk afterwards is found out by Verify. docs/formats/audit-log.md describes lines, files and
// checkpoints.
//
// What holds: when Append returns, the record has been given to the operating system, or with Config.Sync to
// the disk. While the disk takes none, Append waits, or with Shed the record is left out, and that is recorded.
// A line that a crash tore is closed off by a record that names its bytes; it is never removed.
//
// Targets get every record, in order and at least once. The files are the queue: a file that a target has not got is
// kept, and a cursor on disk, never ahead of what was delivered, says how far each has got.
//
// A line never holds a query string, an Authorization header or any other place where signatures and tokens
// travel. Nothing here knows how peers are reached: checkpoints go out by a function and come in by
// Keeper.Heard.
package audit
