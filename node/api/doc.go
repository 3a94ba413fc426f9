// Package api is what a gateway may ask of the store: small interfaces, their
// requests and results, and the one error type that crosses between them.
//
// What holds for every method unless it says otherwise:
//
//   - A nil error on a write means that it is durable (shards and metadata are
//     synced) and visible to every later read through any gateway.
//   - A non-nil error means that nothing of the write is visible, save where the
//     error's Kind is OutcomeUnknown: then it may or may not have happened.
//   - Methods may be called from any number of goroutines.
//   - Buckets and keys are the bytes the client sent, decoded once. They are never
//     file names.
package api
