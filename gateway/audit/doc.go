// Package audit keeps the access log: one JSON line for each request, in a file that
// is rotated by size.
//
// Nothing is dropped. Lines wait in a queue of bounded size; while it is full (the
// disk is slow or full) the requests that finish wait with their answers. What
// Append was given before Run ended is in the file when Run returns, or Run says how
// much is not.
//
// A line never holds a query string, an Authorization header or any other place where
// signatures and tokens travel.
package audit
