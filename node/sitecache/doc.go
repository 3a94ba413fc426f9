// Package sitecache keeps on a node's disk what its site needs of the system group while that cannot
// be asked: the layout, key-encryption keys and access keys as they are sealed in the system group,
// and the buckets that are bound to the site. It answers other members out of that, also after a
// restart.
//
// What holds: the file is whole, and made by a holder of the root key, or it is not believed; no
// secret lies in it but sealed under the root key; an access key is not given when it is older than
// the store allows, or when the clock says that it comes from the future.
//
// What it leaves out: it fetches nothing, and does not decide when it may be asked.
package sitecache
