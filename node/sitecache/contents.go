package sitecache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p/wire"
)

// The file: magic, format, length of the body, body, and the mark of a holder of the root key on all
// before it. The numbers are 32 bits, little-endian. The body is protobuf.
const (
	magic   = "SHSC"
	format  = 1
	head    = 12
	sizeMax = 64 << 20

	layoutMax = 16 << 20 // bytes
	recordMax = 64 << 10 // bytes of a key, an access key, a bucket or an identity
	keysMax   = 4096

	// CredentialsMax, BucketsMax and IdentitiesMax bound how many are kept.
	CredentialsMax = 100_000
	BucketsMax     = 100_000
	IdentitiesMax  = 100_000
)

// ErrDamaged says that the file is not what a node with this root key has written. It is only a
// cache: the caller may go on without.
var ErrDamaged = errors.New("the site's cache is damaged")

// Contents is what is kept. It does not change once it was handed over.
type Contents struct {
	AsOf time.Time // when the system group began to be asked for all this
	// Stale is for how long access keys may be used that are not confirmed again.
	Stale       time.Duration
	Layout      *peer.Layout
	Current     uint32 // the KEK that wraps new data keys
	KEKs        []*meta.KEK
	Credentials []*meta.Credential
	Buckets     []*meta.Bucket // that are bound to the node's site
	// Identities are users, groups and policies as they are at IdentityEpoch; none when that is 0.
	Identities    []*meta.Identity
	IdentityEpoch uint64
}

// body encodes what is kept, but for when that was.
func (c *Contents) body() ([]byte, error) {
	l, err := peer.EncodeLayout(c.Layout)
	if err != nil {
		return nil, err
	}
	var r wire.Record
	r.Uint(2, uint64(max(c.Stale, 0)))
	r.Bytes(3, l)
	r.Uint(4, uint64(c.Current))
	for _, k := range c.KEKs {
		err = errors.Join(err, repeat(&r, 5, k))
	}
	for _, k := range c.Credentials {
		err = errors.Join(err, repeat(&r, 6, k))
	}
	for _, b := range c.Buckets {
		err = errors.Join(err, repeat(&r, 7, b))
	}
	for _, i := range c.Identities {
		err = errors.Join(err, repeat(&r, 8, i))
	}
	r.Uint(9, c.IdentityEpoch)
	return r, err
}

func repeat(r *wire.Record, num int, m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	r.Repeat(num, b)
	return err
}

// seal makes the file of a body.
func seal(keys *keyring.Keyring, asOf time.Time, body []byte) ([]byte, error) {
	var r wire.Record
	r.Uint(1, uint64(asOf.UnixNano()))
	r = append(r, body...)
	b := append([]byte(magic), make([]byte, head-len(magic))...)
	binary.LittleEndian.PutUint32(b[4:], format)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(r)))
	b = append(b, r...)
	if len(b) > sizeMax-keyring.MarkMax {
		return nil, fmt.Errorf("the site's cache would have %d bytes", len(b))
	}
	mark, err := keys.Mark(purpose, b)
	return append(b, mark...), err
}

// purpose is what the mark is for.
const purpose = "site cache"

// open checks the file and reads it.
func open(keys *keyring.Keyring, b []byte) (*Contents, error) {
	if len(b) < head || string(b[:4]) != magic {
		return nil, fmt.Errorf("%w: it is none", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != format {
		return nil, fmt.Errorf("%w: format %d, this release reads %d", ErrDamaged, v, format)
	}
	n := int64(binary.LittleEndian.Uint32(b[8:]))
	if n > int64(len(b)-head) || len(b) > sizeMax {
		return nil, fmt.Errorf("%w: length", ErrDamaged)
	}
	body, mark := b[head:head+n], b[head+n:]
	if err := keys.CheckMark(purpose, b[:head+n], mark); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return parse(body)
}

func parse(body []byte) (*Contents, error) {
	c := new(Contents)
	f := wire.NewFields(body)
	for f.Next() {
		switch f.Num() {
		case 1:
			c.AsOf = time.Unix(0, int64(f.Uint()))
		case 2:
			c.Stale = time.Duration(min(f.Uint(), uint64(staleMax)))
		case 3:
			var err error
			if c.Layout, err = peer.DecodeLayout(f.Bytes(layoutMax)); err != nil {
				f.Fail("layout: %v", err)
			}
		case 4:
			c.Current = f.Uint32()
		case 5:
			take(f, &c.KEKs, new(meta.KEK), keysMax)
		case 6:
			take(f, &c.Credentials, new(meta.Credential), CredentialsMax)
		case 7:
			take(f, &c.Buckets, new(meta.Bucket), BucketsMax)
		case 8:
			take(f, &c.Identities, new(meta.Identity), IdentitiesMax)
		case 9:
			c.IdentityEpoch = f.Uint()
		}
	}
	if c.Layout == nil {
		f.Fail("no layout")
	}
	if f.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, f.Err())
	}
	return c, nil
}

// staleMax bounds Stale on disk.
const staleMax = 100 * 365 * 24 * time.Hour

// take reads one more message of a list.
func take[M proto.Message](f *wire.Fields, list *[]M, m M, most int) {
	if err := proto.Unmarshal(f.Bytes(recordMax), m); err != nil || len(*list) == most {
		f.Fail("field %d: too many, or %v", f.Num(), err)
		return
	}
	*list = append(*list, m)
}
