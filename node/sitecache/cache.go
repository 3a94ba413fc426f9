package sitecache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
)

// writeEvery is after how long an unchanged cache is written again, so that its age on disk stays
// near its age in memory.
const writeEvery = 5 * time.Minute

// skewMax is by how much the clock may have been set back since the cache was filled.
const skewMax = 5 * time.Second

// Cache is one node's cache, in memory and in one file of mode 0600.
type Cache struct {
	path string
	keys *keyring.Keyring
	now  func() time.Time

	writing sync.Mutex // held while the file is written; guards written and at
	written []byte     // body that lies on disk
	at      time.Time  // as of which it does

	mu          sync.RWMutex // guards what follows
	c           *Contents    // nil for nothing
	credentials map[string]*meta.Credential
	buckets     map[string]*meta.Bucket
}

// Open reads the file at path, if there is one, and adds its KEKs to keys. With ErrDamaged the cache
// is usable, and the file was set aside under the name path + ".damaged".
func Open(path string, keys *keyring.Keyring, now func() time.Time) (*Cache, error) {
	s := &Cache{path: path, keys: keys, now: now}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-*"))
	for _, tmp := range left { // of a write that a crash cut short
		os.Remove(tmp)
	}
	if st, err := os.Stat(path); err == nil && st.Size() > sizeMax {
		return s, errors.Join(fmt.Errorf("%w: it has %d bytes", ErrDamaged, st.Size()), os.Rename(path, path+".damaged"))
	}
	b, err := keyring.ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the site's cache: %w", err)
	}
	c, err := open(keys, b)
	for i := 0; err == nil && i < len(c.KEKs); i++ {
		k := c.KEKs[i]
		if kerr := keys.Add(k.GetId(), k.GetSealed(), k.GetId() == c.Current); kerr != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, kerr)
		}
	}
	if err != nil {
		return s, errors.Join(err, os.Rename(path, path+".damaged"))
	}
	s.set(c)
	return s, nil
}

func (s *Cache) set(c *Contents) {
	credentials := make(map[string]*meta.Credential, len(c.Credentials))
	for _, k := range c.Credentials {
		credentials[k.GetAccessKeyId()] = k
	}
	buckets := make(map[string]*meta.Bucket, len(c.Buckets))
	for _, b := range c.Buckets {
		buckets[b.GetName()] = b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c, s.credentials, s.buckets = c, credentials, buckets
}

// Put takes over what the system group has said, and writes it to disk, durably, when it says
// something new or the file has grown old.
func (s *Cache) Put(c *Contents) error {
	s.set(c)
	body, err := c.body()
	if err != nil {
		return fmt.Errorf("encode the site's cache: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if bytes.Equal(body, s.written) && c.AsOf.Sub(s.at) < min(writeEvery, max(c.Stale/12, time.Minute)) {
		return nil
	}
	b, err := seal(s.keys, c.AsOf, body)
	if err == nil {
		err = keyring.WritePrivate(s.path, b)
	}
	if err != nil {
		return fmt.Errorf("write the site's cache: %w", err)
	}
	s.written, s.at = body, c.AsOf
	return nil
}

// Filled tells whether there is anything.
func (s *Cache) Filled() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.c != nil
}

// Recall answers as peer.Node does.
func (s *Cache) Recall(q peer.RecallQuestion) (*peer.Recollection, error) {
	s.mu.RLock()
	c, k, b := s.c, s.credentials[q.AccessKeyID], s.buckets[q.Bucket]
	s.mu.RUnlock()
	if c == nil {
		return nil, unavailable("This node keeps nothing for when the system group cannot be asked.")
	}
	out := &peer.Recollection{Age: s.now().Sub(c.AsOf), StaleIdentity: c.Stale}
	if out.Age < -skewMax {
		return nil, unavailable("The clock was set back: how old it is what this node keeps is not known.")
	}
	out.Age = max(out.Age, 0)
	switch {
	case q.AccessKeyID != "":
		return out, s.credential(c, k, out)
	case q.Identities:
		return out, c.identities(q, out)
	case q.Bucket == "":
		out.Layout = c.Layout
	case b == nil:
		return nil, unavailable("No bucket of this name is known to be bound to this node's site.")
	default:
		out.Bucket = b
	}
	return out, nil
}

func (s *Cache) credential(c *Contents, k *meta.Credential, out *peer.Recollection) error {
	if k == nil || k.GetDisabled() {
		return unavailable("The access key was not there when the system group was last asked.")
	}
	if out.Age >= c.Stale {
		return unavailable("What this node knows of access keys is too old to be used.")
	}
	secret, err := s.keys.OpenSecret(k.GetAccessKeyId(), k.GetSealed())
	if err != nil {
		return &api.Error{Kind: api.Corrupt, Op: "sitecache.Recall", Err: err}
	}
	out.Credential = k.WithSecret(secret)
	return nil
}

func unavailable(detail string) error {
	return &api.Error{Kind: api.Unavailable, Op: "sitecache.Recall", Detail: detail}
}

// identitiesBytes is what the identities of an answer take together, but for a single one that takes more.
const identitiesBytes = 1 << 20

// identities gives as many as fit into an answer.
func (c *Contents) identities(q peer.RecallQuestion, out *peer.Recollection) error {
	if out.Age >= c.Stale || c.IdentityEpoch == 0 {
		return unavailable("What this node knows of users and policies is too old to be used.")
	}
	if q.IdentityEpoch != 0 && q.IdentityEpoch != c.IdentityEpoch || int(q.IdentityFrom) > len(c.Identities) {
		return unavailable("What this node knows of users and policies has changed.")
	}
	out.IdentityEpoch = c.IdentityEpoch
	size := 0
	for _, i := range c.Identities[q.IdentityFrom:] {
		if size += proto.Size(i); size > identitiesBytes && len(out.Identities) > 0 {
			out.More = true
			break
		}
		out.Identities = append(out.Identities, i)
	}
	return nil
}
