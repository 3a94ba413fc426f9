// Package keyring keeps the keys that seal everything at rest: the root key, a file of its own, and
// the key-encryption keys (KEKs) that it seals.
//
// The hierarchy: the root key seals KEKs and credentials' secrets (each purpose under a key derived
// for it alone); a KEK wraps the data key of each upload; a data key seals chunks. Whoever has a
// drive, or the metadata, but not the root key can read nothing.
//
// What it deliberately does not do: it stores nothing but the root key's file. Sealed KEKs live in
// the system group.
package keyring
