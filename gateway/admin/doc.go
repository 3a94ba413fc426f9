// Package admin serves the management port: health for supervisors, metrics for
// Prometheus, and a signed JSON API for the operator's tool.
//
// Whether the process lives and is ready, and the cluster whole, is told to whoever reaches the port,
// which is a loopback address unless the operator chose another, and so is the OpenAPI document. The
// reasons and metrics are open on loopback alone: from elsewhere they take a signature with the right,
// or for metrics a token, and profiles take the right from anywhere. They hold no names of buckets, keys or principals. Everything
// else under /admin/ needs a SigV4 signature for service "s3" or "shoal", and answers JSON. Errors
// are {"code": …, "message": …}.
//
// Each route takes rights, which are actions admin:… of policies; a new route brings its
// action to acl/policy. What changes a user's rights takes a right of its own, and whoever
// has it may get itself all others, as in AWS. Two things no right gives: access keys of
// root and backups of keys are for root alone, and an access key that a policy narrows
// makes none for its owner.
package admin
