package meta

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Query answers from the state of group g. A refusal is an Answer with a code; an error means
// that the state cannot be read. The answer belongs to the caller.
func (m *Machine) Query(r pebble.Reader, g consensus.GroupID, q *Query) (*Answer, error) {
	switch q := q.GetQ().(type) {
	case *Query_Lookup:
		a, err := m.Lookup(r, g, q.Lookup)
		return answer(&Answer_Lookup{a}, err)
	case *Query_List:
		page, err := listEncoded(r, g, q.List)
		if err != nil {
			return answer(nil, err)
		}
		return &Answer{A: &Answer_ListPage{page}}, nil
	}
	a, refused, err := onSnapshot(r, func(r pebble.Reader) (*Answer, *Result, error) {
		v := &view{r: r, g: g}
		if q, ok := q.GetQ().(*Query_ReadOnly); ok {
			a, err := v.queryReadOnly(q.ReadOnly)
			return &Answer{A: &Answer_ReadOnly{a}}, nil, err
		}
		if g == consensus.SystemGroup {
			return v.querySystem(q)
		}
		return v.queryPartition(q)
	})
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return &Answer{Code: refused.Code, Detail: refused.Detail}, nil
	}
	return a, nil
}

// answer turns a refusal in the form of an error into an answer, beside what was found.
func answer(found *Answer_Lookup, err error) (*Answer, error) {
	a := new(Answer)
	if found != nil && found.Lookup != nil {
		a.A = found
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		a.Code, a.Detail = refused.WireCode(), refused.Detail
		return a, nil
	}
	return a, err
}

// queryPartition answers a query of a partition group from a reader that does not change.
func (v *view) queryPartition(q *Query) (*Answer, *Result, error) {
	a := new(Answer)
	var r *Result
	var err error
	switch q := q.GetQ().(type) {
	case *Query_BucketConfig:
		p := new(Answer_BucketConfig)
		p.BucketConfig, r, err = v.queryBucketConfig(q.BucketConfig)
		a.A = p
	case *Query_Upload:
		p := new(Answer_Upload)
		p.Upload, r, err = v.queryUpload(q.Upload)
		a.A = p
	case *Query_Parts:
		p := new(Answer_Parts)
		p.Parts, r, err = v.queryParts(q.Parts)
		a.A = p
	case *Query_Uploads:
		p := new(Answer_Uploads)
		p.Uploads, r, err = v.queryUploads(q.Uploads)
		a.A = p
	case *Query_PartManifests:
		p := new(Answer_PartManifests)
		p.PartManifests, r, err = v.queryPartManifests(q.PartManifests)
		a.A = p
	case *Query_Owners:
		p := new(Answer_Owners)
		p.Owners, r, err = v.queryOwners(q.Owners)
		a.A = p
	case *Query_Garbage:
		p := new(Answer_Garbage)
		p.Garbage, err = v.queryGarbage(q.Garbage)
		a.A = p
	case *Query_Counters:
		p := new(Answer_Counters)
		p.Counters, r, err = v.queryCounters(q.Counters)
		a.A = p
	case *Query_Feed:
		p := new(Answer_Feed)
		p.Feed, err = v.queryFeed(q.Feed)
		a.A = p
	case *Query_Cursors:
		p := new(Answer_Cursors)
		p.Cursors, err = v.queryCursors()
		a.A = p
	case *Query_Versions:
		p := new(Answer_Versions)
		p.Versions, r, err = v.queryVersions(q.Versions)
		a.A = p
	case *Query_Manifests:
		p := new(Answer_Manifests)
		p.Manifests, r, err = v.queryManifests(q.Manifests)
		a.A = p
	default:
		r = invalid("The query is not one of a partition group.")
	}
	return a, r, err
}

// querySystem answers a query of the system group from a reader that does not change.
func (v *view) querySystem(q *Query) (*Answer, *Result, error) {
	a := new(Answer)
	var r *Result
	var err error
	switch q := q.GetQ().(type) {
	case *Query_Settings:
		p := new(Answer_Settings)
		p.Settings, r, err = v.querySettings()
		a.A = p
	case *Query_Bucket:
		p := new(Answer_Bucket)
		p.Bucket, r, err = v.queryBucket(q.Bucket)
		a.A = p
	case *Query_Buckets:
		p := new(Answer_Buckets)
		p.Buckets, err = v.queryBuckets(q.Buckets)
		a.A = p
	case *Query_Members:
		p := new(Answer_Members)
		p.Members, err = v.queryMembers()
		a.A = p
	case *Query_Placements:
		p := new(Answer_Placements)
		p.Placements, err = v.queryPlacements(q.Placements)
		a.A = p
	case *Query_Keyring:
		p := new(Answer_Keyring)
		p.Keyring, err = v.queryKeyring()
		a.A = p
	case *Query_Credential:
		p := new(Answer_Credential)
		p.Credential, r, err = v.queryCredential(q.Credential)
		a.A = p
	case *Query_Credentials:
		p := new(Answer_Credentials)
		p.Credentials, err = v.queryCredentials(q.Credentials)
		a.A = p
	case *Query_Invite:
		p := new(Answer_Invite)
		p.Invite, r, err = v.queryInvite(q.Invite)
		a.A = p
	case *Query_Sequence:
		p := new(Answer_Sequence)
		p.Sequence, err = v.querySequence(q.Sequence)
		a.A = p
	case *Query_Groups:
		p := new(Answer_Groups)
		p.Groups, err = v.queryGroups()
		a.A = p
	case *Query_Dynamic:
		p := new(Answer_Dynamic)
		p.Dynamic, err = v.queryDynamic()
		a.A = p
	case *Query_Identities:
		p := new(Answer_Identities)
		p.Identities, err = v.queryIdentities(q.Identities)
		a.A = p
	case *Query_Identity:
		p := new(Answer_Identity)
		p.Identity, r, err = v.queryIdentity(q.Identity)
		a.A = p
	case *Query_AcmeItem:
		p := &Answer_AcmeItem{new(AcmeItem)}
		_, err = v.getMessage(v.nameKey(spaceACME, q.AcmeItem.GetName()), p.AcmeItem)
		a.A = p
	default:
		r = invalid("The query is not one of the system group.")
	}
	return a, r, err
}
