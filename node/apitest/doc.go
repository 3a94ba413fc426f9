// Package apitest holds the suite that every implementation of node/api passes, and
// an implementation in memory for the tests of those who stand on node/api.
//
// Suite checks what the contract says: results and errors of every method, conditions,
// listing against a naive model, ranges at the edges of frames and chunks, multipart
// uploads with copies, and that exactly one of many conditional writers wins.
//
// Memory passes the suite. It keeps everything in one process under one lock, syncs
// nothing, and knows no versions: it is for tests only.
package apitest
