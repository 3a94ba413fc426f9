// Package s3op holds the S3 operations: one table that names every operation of the
// S3 API, and one file per operation that is built. An operation decodes a request
// that has been authenticated, calls node/api, and encodes the answer as AWS does.
//
// What holds for all of them:
//
//   - A request finds exactly one operation (Match) or an error; an operation that is
//     named in the table and not built answers 501 NotImplemented.
//   - Nothing is accepted and ignored: a header x-amz-* that an operation does not
//     know is refused with 501, and so is a sub-resource that nobody knows.
//   - Serve either returns an error with nothing written, or nil after the whole
//     answer was written. When an answer breaks off in the middle it panics with
//     http.ErrAbortHandler, so that the connection is cut and never a short body
//     passes for a whole one.
//
// The package does not authenticate, authorise, log accesses, or write error
// documents; package gateway does.
package s3op
