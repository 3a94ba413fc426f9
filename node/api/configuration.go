package api

// What is set for a bucket is kept as documents under these names. A bucket without a
// document has what S3 gives a new bucket. Most documents are the XML that S3 defines for
// them; the lifecycle, the quota and the order to be read-only are encoded by AppendLifecycle, AppendQuota and AppendReadOnly, for nodes read them too, and the
// ACL is encoded by package acl/grant.
const (
	ConfigACL          = "acl"
	ConfigCORS         = "cors"
	ConfigEncryption   = "encryption"
	ConfigLifecycle    = "lifecycle"
	ConfigOwnership    = "ownership"
	ConfigPolicy       = "policy"
	ConfigPublicAccess = "public-access-block"
	ConfigQuota        = "quota"
	ConfigReadOnly     = "read-only"
	ConfigTagging      = "tagging"
)

// MaxConfigSize bounds one document in bytes.
const MaxConfigSize = 512 << 10

// Configuration is all that is set for a bucket, at one instant.
type Configuration struct {
	// Epoch counts the changes. It is 0 for a bucket for which nothing was ever set.
	Epoch uint64
	// Documents are by name. They are shared and must not be changed.
	Documents map[string][]byte
}

// SetConfiguration sets or removes one document.
type SetConfiguration struct {
	Bucket, Name string
	Document     []byte // 1 byte to 512 KiB; nil removes it
	// IfEpoch says that the configuration must not have changed since it had this epoch.
	IfEpoch *uint64
}
