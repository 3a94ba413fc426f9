package client

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/meta"
)

// lockMessage is a lock as commands carry it, nil for none.
func lockMessage(l *api.Lock) *meta.Lock {
	if l.Mode == api.NoRetention && !l.LegalHold {
		return nil
	}
	out := &meta.Lock{Mode: uint32(l.Mode), LegalHold: l.LegalHold}
	if l.Mode != api.NoRetention {
		out.Until = l.Until.UnixNano()
	}
	return out
}

func lockOf(h *meta.Head) api.Lock {
	l := api.Lock{LegalHold: h.LegalHold(), HoldSet: h.HoldSet()}
	if h.GetLockMode() != 0 {
		l.Mode, l.Until = api.LockMode(h.GetLockMode()), time.Unix(0, h.GetRetainUntil())
	}
	return l
}

// Versioning implements api.Versions.
func (c *Client) Versioning(ctx context.Context, bucket string) (api.BucketVersioning, error) {
	var out api.BucketVersioning
	err := c.inBucket(ctx, bucket, func(b bucketRef) error {
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_BucketConfig{BucketConfig: &meta.BucketConfigQuery{Bucket: b.id, Name: "versioning"}}})
		if err != nil {
			return err
		}
		cfg := a.GetBucketConfig()
		out = api.BucketVersioning{State: api.VersioningState(cfg.GetVersioning()), ObjectLock: cfg.GetObjectLock() != nil}
		if l := cfg.GetObjectLock(); l.GetMode() != 0 {
			out.Default = api.DefaultRetention{Mode: api.LockMode(l.GetMode()), Days: int(l.GetDays()), Years: int(l.GetYears())}
		}
		return nil
	})
	return out, err
}

// SetVersioning implements api.Versions.
func (c *Client) SetVersioning(ctx context.Context, bucket string, state api.VersioningState) error {
	value := map[api.VersioningState]string{api.VersioningEnabled: "enabled", api.VersioningSuspended: "suspended"}[state]
	return c.inBucket(ctx, bucket, func(b bucketRef) error {
		_, err := c.propose(ctx, b.group, "client.SetVersioning", &meta.Command{Op: &meta.Command_SetBucketConfig{
			SetBucketConfig: &meta.SetBucketConfig{Bucket: b.id, Name: "versioning", Value: []byte(value)},
		}})
		return err
	})
}

// SetObjectLock implements api.Versions.
func (c *Client) SetObjectLock(ctx context.Context, bucket string, def api.DefaultRetention) error {
	return c.inBucket(ctx, bucket, func(b bucketRef) error {
		_, err := c.propose(ctx, b.group, "client.SetObjectLock", &meta.Command{Op: &meta.Command_SetObjectLock{
			SetObjectLock: &meta.SetObjectLock{Bucket: b.id, Mode: uint32(def.Mode), Days: uint32(def.Days), Years: uint32(def.Years)},
		}})
		return err
	})
}

// ListVersions implements api.Versions.
func (c *Client) ListVersions(ctx context.Context, req *api.ListVersions) (*api.VersionPage, error) {
	after, err := parseVersion(req.AfterVersion)
	if err != nil {
		return nil, err
	}
	var got *meta.VersionsAnswer
	err = c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_Versions{Versions: &meta.VersionsQuery{
			Bucket: b.id, Prefix: []byte(req.Prefix), Delimiter: []byte(req.Delimiter), AfterKey: []byte(req.AfterKey),
			AfterSeq: after.seq, AfterNull: after.null, Max: uint32(max(req.Max, 0)), Tags: req.Tags, History: req.History,
		}}})
		got = a.GetVersions()
		return err
	})
	if err != nil {
		return nil, err
	}
	return versionPage(got)
}

func versionPage(got *meta.VersionsAnswer) (_ *api.VersionPage, err error) {
	page := &api.VersionPage{Versions: make([]api.ListedVersion, len(got.GetVersions())), Truncated: got.GetTruncated()}
	for i, v := range got.GetVersions() {
		h := v.GetHead()
		page.Versions[i] = api.ListedVersion{
			Key: string(v.GetKey()), VersionID: headVersion(h).text(), Latest: v.GetLatest(), DeleteMarker: h.DeleteMarker(),
			Size: int64(h.GetSize()), ETag: string(h.GetEtag()), LastModified: time.Unix(0, h.GetMtime()),
			Checksum: checksum.Set(h.GetChecksumAlgorithm()), Type: api.ChecksumType(h.GetChecksumType()), Class: h.StorageClass(),
		}
		if page.Versions[i].Tags, err = meta.ParseTags(h.GetTags()); err != nil {
			return nil, err
		}
	}
	for _, p := range got.GetPrefixes() {
		page.CommonPrefixes = append(page.CommonPrefixes, string(p))
	}
	if !page.Truncated {
		return page, nil
	}
	page.NextKey = string(got.GetNextKey())
	if n := len(got.GetVersions()); got.GetNextSeq() != 0 && n > 0 {
		page.NextVersion = headVersion(got.GetVersions()[n-1].GetHead()).place()
	}
	return page, nil
}

// alter proposes a change of a version.
func (c *Client) alter(ctx context.Context, ref *api.ObjectRef, cmd *meta.AlterVersion) (string, error) {
	v, err := parseVersion(ref.VersionID)
	if err != nil {
		return "", err
	}
	cmd.Key, cmd.Version, cmd.NullVersion, cmd.Seq = []byte(ref.Key), v.id, v.null, v.seq
	var id string
	err = c.inBucket(ctx, ref.Bucket, func(b bucketRef) error {
		cmd.Bucket = b.id
		res, err := c.propose(ctx, b.group, "client.alter", &meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: cmd}})
		if err != nil {
			return err
		}
		a := res.GetAltered()
		id = versionName{a.GetSeq(), a.GetVersion(), a.GetNullVersion()}.shown(a.GetVersioning() != meta.Versioning_VERSIONING_OFF)
		return nil
	})
	return id, err
}

// SetTags implements api.Versions.
func (c *Client) SetTags(ctx context.Context, ref *api.ObjectRef, tags []api.Tag) (string, error) {
	return c.alter(ctx, ref, &meta.AlterVersion{Change: &meta.AlterVersion_Tags{Tags: meta.AppendTags(nil, tags)}})
}

// SetACL implements api.Versions.
func (c *Client) SetACL(ctx context.Context, ref *api.ObjectRef, acl []byte) (string, error) {
	return c.alter(ctx, ref, &meta.AlterVersion{Change: &meta.AlterVersion_Acl{Acl: acl}})
}

// SetRetention implements api.Versions.
func (c *Client) SetRetention(ctx context.Context, req *api.SetRetention) error {
	keep := new(meta.Lock)
	if req.Mode != api.NoRetention {
		keep = lockMessage(&api.Lock{Mode: req.Mode, Until: req.Until})
	}
	_, err := c.alter(ctx, &req.ObjectRef, &meta.AlterVersion{Change: &meta.AlterVersion_Retention{Retention: keep}, Bypass: req.Bypass})
	return err
}

// SetLegalHold implements api.Versions.
func (c *Client) SetLegalHold(ctx context.Context, ref *api.ObjectRef, on bool) error {
	_, err := c.alter(ctx, ref, &meta.AlterVersion{Change: &meta.AlterVersion_LegalHold{LegalHold: on}})
	return err
}

// Rename implements api.Versions. All keys of a bucket are in one group, so one command does it.
func (c *Client) Rename(ctx context.Context, req *api.RenameObject) (api.Written, error) {
	cmd := &meta.Command{Op: &meta.Command_RenameObject{RenameObject: &meta.RenameObject{
		From: []byte(req.From), To: []byte(req.To), Source: renameCondition(&req.Source), Target: renameCondition(&req.Target),
	}}}
	var w api.Written
	err := c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		cmd.GetRenameObject().Bucket = b.id
		if req.Token != "" {
			cmd.RequestId = tokenID(b.id, req)
		}
		res, err := c.propose(ctx, b.group, "client.Rename", cmd)
		if err != nil {
			return err
		}
		w = written(res.GetWritten())
		return nil
	})
	return w, err
}

// tokenID makes the ID under which the group remembers the result of a request with a token.
func tokenID(bucket uint64, req *api.RenameObject) []byte {
	b := binary.BigEndian.AppendUint64([]byte("rename"), bucket)
	for _, s := range [...]string{req.From, req.To, req.Token} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	sum := sha256.Sum256(b)
	return sum[:16]
}

func renameCondition(in *api.RenameCondition) *meta.RenameCondition {
	out := &meta.RenameCondition{IfMatch: []byte(in.IfMatch), IfNoneMatch: []byte(in.IfNoneMatch)}
	for _, t := range [...]struct {
		from *time.Time
		to   **int64
	}{{in.IfModified, &out.IfModifiedSince}, {in.IfUnmodified, &out.IfUnmodifiedSince}} {
		if t.from != nil {
			at := t.from.Unix()
			*t.to = &at
		}
	}
	return out
}
