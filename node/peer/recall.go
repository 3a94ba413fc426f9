package peer

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/meta"
	"shoal/p2p"
)

// RecallQuestion names what is to be recalled: a credential, a bucket that is bound to a site,
// identities, or, when nothing is named, the layout.
type RecallQuestion struct {
	AccessKeyID string
	Bucket      string // its name
	// Identities asks for those at an epoch, 0 for the last that is known, but for the first of them.
	Identities    bool
	IdentityEpoch uint64
	IdentityFrom  uint32
}

// Recollection is what a node keeps of the system group for when that cannot be asked.
type Recollection struct {
	Age time.Duration // since the system group has said so
	// StaleIdentity is for how long credentials may be used that are not confirmed again.
	StaleIdentity time.Duration

	// One of these, as it was asked for.
	Layout     *Layout
	Credential api.Credential
	Bucket     *meta.Bucket
	// Identities are some of those at IdentityEpoch; More says that others follow them.
	Identities    []*meta.Identity
	IdentityEpoch uint64
	More          bool
}

// identitiesMax bounds the identities of one answer.
const identitiesMax = 100_000

// recallAgeMax bounds what an age on the wire may be.
const recallAgeMax = 100 * 365 * 24 * time.Hour

// Recall implements Node.
func (r *Remote) Recall(ctx context.Context, q RecallQuestion) (*Recollection, error) {
	var a RecallAnswer
	in := &RecallRequest{AccessKeyId: q.AccessKeyID, Bucket: q.Bucket, Identities: q.Identities, IdentityEpoch: q.IdentityEpoch, IdentityFrom: q.IdentityFrom}
	if err := r.call(ctx, methodRecall, 0, false, in, &a); err != nil {
		return nil, err
	}
	return recollectionFromWire(q, &a)
}

func recollectionFromWire(q RecallQuestion, a *RecallAnswer) (*Recollection, error) {
	if a.Age > uint64(recallAgeMax) || a.StaleIdentity > uint64(recallAgeMax) {
		return nil, malformed("age")
	}
	out := &Recollection{Age: time.Duration(a.Age), StaleIdentity: time.Duration(a.StaleIdentity)}
	var err error
	switch {
	case q.AccessKeyID != "":
		if a.Secret == "" {
			return nil, malformed("credential")
		}
		out.Credential = credentialFromWire(q.AccessKeyID, a)
	case q.Bucket != "":
		out.Bucket = new(meta.Bucket)
		if err = decode(a.Bucket, out.Bucket, "bucket"); err == nil && out.Bucket.GetName() != q.Bucket {
			err = malformed("bucket")
		}
	case q.Identities:
		err = out.identitiesFromWire(a)
	case a.Layout == nil:
		err = malformed("layout")
	default:
		out.Layout, err = layoutFromWire(a.Layout)
	}
	return out, err
}

func (rec *Recollection) identitiesFromWire(a *RecallAnswer) error {
	if a.IdentityEpoch == 0 || len(a.Identities) > identitiesMax || a.More && len(a.Identities) == 0 {
		return malformed("identities")
	}
	rec.IdentityEpoch, rec.More = a.IdentityEpoch, a.More
	for _, b := range a.Identities {
		i := new(meta.Identity)
		if err := decode(b, i, "identity"); err != nil {
			return err
		}
		rec.Identities = append(rec.Identities, i)
	}
	return nil
}

func (s service) recall(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in RecallRequest
	if err := decode(req.Header, &in, "question"); err != nil {
		return reply(nil, err)
	}
	rec, err := s.n.Recall(ctx, RecallQuestion{
		AccessKeyID: in.AccessKeyId, Bucket: in.Bucket, Identities: in.Identities, IdentityEpoch: in.IdentityEpoch, IdentityFrom: in.IdentityFrom,
	})
	if err != nil {
		return reply(nil, err)
	}
	a := &RecallAnswer{
		Age: uint64(max(rec.Age, 0)), StaleIdentity: uint64(max(rec.StaleIdentity, 0)), Secret: rec.Credential.Secret, Principal: rec.Credential.Principal,
		Expires: timeToWire(rec.Credential.Expires), SessionPolicy: rec.Credential.SessionPolicy,
		IdentityEpoch: rec.IdentityEpoch, More: rec.More,
	}
	for _, i := range rec.Identities {
		b, err := proto.Marshal(i)
		if err != nil {
			return reply(nil, err)
		}
		a.Identities = append(a.Identities, b)
	}
	if rec.Layout != nil {
		a.Layout = layoutToWire(rec.Layout)
	}
	if rec.Bucket != nil {
		a.Bucket, err = proto.Marshal(rec.Bucket)
	}
	return reply(a, err)
}

// secretOnWire is what two answers say of a credential.
type secretOnWire interface {
	GetSecret() string
	GetPrincipal() string
	GetExpires() int64
	GetSessionPolicy() string
}

func credentialFromWire(id string, a secretOnWire) api.Credential {
	c := api.Credential{AccessKeyID: id, Secret: a.GetSecret(), Principal: a.GetPrincipal(), SessionPolicy: a.GetSessionPolicy()}
	if n := a.GetExpires(); n != 0 {
		c.Expires = time.Unix(0, n).UTC()
	}
	return c
}

// timeToWire gives 0 for no time.
func timeToWire(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// EncodeLayout gives the bytes of a layout, as they travel.
func EncodeLayout(l *Layout) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(layoutToWire(l))
}

// DecodeLayout reads what EncodeLayout made.
func DecodeLayout(b []byte) (*Layout, error) {
	var a LayoutAnswer
	if err := decode(b, &a, "layout"); err != nil {
		return nil, err
	}
	return layoutFromWire(&a)
}
