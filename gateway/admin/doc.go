// Package admin serves the management port: health for supervisors, metrics for
// Prometheus, and a signed JSON API for the operator's tool.
//
// Health and metrics are open to whoever reaches the port, which is a loopback address
// unless the operator chose another; they hold no names of buckets, keys or
// principals. Everything under /admin/ needs a SigV4 signature of the root principal,
// for service "s3" or "shoal", and answers JSON. Errors are {"code": …, "message": …}.
package admin
