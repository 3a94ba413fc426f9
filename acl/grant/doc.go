// Package grant knows the access control lists of S3: who is granted which permission on a bucket or on a
// version of an object, the canned ACLs, and what each permission allows. It is pure.
//
// An ACL only ever allows. It speaks of the bucket or the version that it belongs to and of nothing else: a
// bucket's ACL says nothing of the objects in it but that they may be created.
//
// The rules are those of "Access control list (ACL) overview", S3 User Guide
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html). A store is one account, which owns
// all buckets and objects: a grant to the owner gives the account's root what it has anyway, and the account's
// users nothing, as a grant to an account in AWS gives its users nothing by itself. A user can be granted
// something by its own canonical ID, which AWS has not.
package grant
