// Package tidy holds the tests of the tree itself: who imports whom, what source files
// must not contain, that documents' links lead somewhere, and that the lists of
// metrics, licences and formats in the documents are true.
package tidy
