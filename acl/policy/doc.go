// Package policy reads policy documents in IAM's JSON and says what they say to a request.
//
// A document is compiled once and evaluated often. What cannot be evaluated exactly as AWS documents
// it is refused when the document is read: unknown elements, actions, condition keys and operators,
// values that do not fit their operator. Nothing is skipped at evaluation.
//
// The package is pure. Sources of its rules are the IAM User Guide ("IAM JSON policy elements
// reference") and the S3 User Guide ("Policies and permissions in Amazon S3").
package policy
