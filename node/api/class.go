package api

import "time"

// StorageClass says how much redundancy the content of a version has. The zero value is STANDARD.
type StorageClass uint8

const (
	// StandardClass is STANDARD: the store's erasure profile.
	StandardClass StorageClass = iota
	// ReducedRedundancy is REDUCED_REDUNDANCY: a profile of as many shards with less parity, where
	// what is left still survives the loss of a drive, a node or a site that STANDARD survives.
	ReducedRedundancy
)

// storageClasses are the names of S3, by class.
var storageClasses = [...]string{"STANDARD", "REDUCED_REDUNDANCY"}

// String is the name that S3 gives the class.
func (c StorageClass) String() string {
	if !c.Valid() {
		return "unknown"
	}
	return storageClasses[c]
}

// Valid says that this release knows the class.
func (c StorageClass) Valid() bool { return int(c) < len(storageClasses) }

// ParseStorageClass finds a class by the name that S3 gives it.
func ParseStorageClass(name string) (StorageClass, bool) {
	for i, n := range storageClasses {
		if n == name {
			return StorageClass(i), true
		}
	}
	return StandardClass, false
}

// MarshalText gives the name.
func (c StorageClass) MarshalText() ([]byte, error) {
	if !c.Valid() {
		return nil, Invalid("api.StorageClass", "There is no such storage class.")
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads a name.
func (c *StorageClass) UnmarshalText(name []byte) error {
	class, ok := ParseStorageClass(string(name))
	if !ok {
		return Invalid("api.StorageClass", "There is no such storage class.")
	}
	*c = class
	return nil
}

// TransitionItem names a version that is to get another storage class.
type TransitionItem struct {
	Key       string
	VersionID string // "" is the current version
	// Noncurrent, with VersionID, demands that the version is not the current one: PreconditionFailed.
	Noncurrent bool
	// Modified is the exact time of the version as it was listed; no two versions of a key have the
	// same. PreconditionFailed for another.
	Modified time.Time
}
