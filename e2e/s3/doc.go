// Package s3 is a conformance suite: what AWS documents of S3, case by case, asked of the
// real program over raw HTTP with signatures of the AWS SDK. Status, code, headers, text and
// order of every answer are held against the page of AWS that a case cites.
//
// Cases are rows of tables, one file per family of operations. Each has a bucket of its own
// in one store that all share, so that a case costs a few requests. The store is one process
// by default; with E2E_FULL set the same cases run against a cluster of four nodes and a
// gateway, where each request of a case goes to another gateway than the one before.
//
// A family is a function that gives its cases; families lists them all, and a test counts
// what they come to.
package s3
