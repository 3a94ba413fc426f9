// Package acl decides whether a request is allowed: who asks, what for, and what identity policies,
// bucket policy, session policies and ACL say to it. It is pure: no I/O, no clock; the same request
// under the same rules gets the same decision, with its reason.
//
// The order is AWS's ("Policy evaluation logic", IAM User Guide), for a store that is one account:
// an explicit deny wins over all; session policies narrow; then any of root, identity policies,
// bucket policy or ACL may allow; what nothing allows is denied.
//
// Policy documents are read by package acl/policy, ACLs by acl/grant. Both are a Policy here.
package acl
