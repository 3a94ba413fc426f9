// Package iam turns an access key into who asks, with all policies that speak of the request: of the user,
// of its groups, of the access key, and of the bucket.
//
// A Store has a copy of users, groups and policies by their epoch. It asks for what has changed several
// times a second, and uses the copy for a second at most after it was confirmed: a request that comes later
// waits, and is refused when nothing is confirmed soon. So what was revoked is refused everywhere a second
// after that was acknowledged. Policies are read once for each change, not for each request.
//
// Buckets does the same for bucket policies, public access blocks, ownership and ACLs of buckets, bucket by bucket,
// when they are asked for. The ACL of an object comes with its version.
//
// What cannot be read denies. The package keeps nothing on disk.
package iam
