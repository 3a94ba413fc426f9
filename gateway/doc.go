// Package gateway is the S3 endpoint and the management endpoint of a process: two
// HTTP servers over the contract of node/api. It keeps no state between requests.
//
// Order of an S3 request: limits, request ID, target (bucket and key, decoded once),
// operation, signature, principal, operation, access record. Deny is the default: an
// operation runs only for a principal that was proven and is allowed.
//
// What is no HTTP request at all (a broken request line, a percent escape that is none
// in the path, a head beyond its bound) is answered by net/http, with 400 or 431, before
// there is a request that could be recorded.
//
// Nothing here decides what an operation means (gateway/s3op), whether a signature is
// right (gateway/sigv4) or what an error is called (gateway/s3err).
package gateway
