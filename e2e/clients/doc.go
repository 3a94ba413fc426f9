// Package clients proves that clients made for AWS S3 work against the program with their
// default settings: the SDKs of several languages, tools that back up, synchronise and mount,
// and Terraform's state. A test installs the client, at the release that its folder pins, into
// the user's cache, starts the program, and runs a script in the client's own language. The
// script writes a tree of 2,000 odd files and reads it back; the test compares the two trees
// byte for byte, so that no client is judge of itself.
//
// The clients are run, never distributed: nothing of them is in the program or in this tree.
package clients
