package s3op

import (
	"context"
	"errors"
	"maps"
	"strings"

	"shoal/acl"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// deniedError says in the log why a request is refused; clients are not told.
type deniedError struct {
	action, resource string
	decision         acl.Decision
}

func (e *deniedError) Error() string {
	return e.action + " on " + e.resource + ": " + e.decision.String()
}

// thing is what a right is asked for.
type thing struct {
	bucket, key, version string
	// keys are condition keys beside those of the request.
	keys map[string][]string
}

// ref names the version of an object.
func (t *thing) ref() api.ObjectRef {
	return api.ObjectRef{Bucket: t.bucket, Key: t.key, VersionID: t.version}
}

// authorize asks for the rights that the operation takes on what the request names.
func (c *call) authorize(ctx context.Context) error {
	n, ok := needs[c.op.Name]
	switch {
	case !ok && c.op.free:
		return nil
	case !ok:
		return s3err.New(s3err.AccessDenied)
	case n.own:
		return nil
	}
	return c.authorizeAs(ctx, n, nil)
}

// authorizeOwn is authorize for an operation that asks by itself.
func (c *call) authorizeOwn(ctx context.Context, keys map[string][]string) error {
	return c.authorizeAs(ctx, needs[c.op.Name], keys)
}

func (c *call) authorizeAs(ctx context.Context, n need, keys map[string][]string) error {
	t := thing{bucket: c.Bucket, key: c.Key, keys: keys}
	action, also := n.action, n.also
	if v := c.Query.Get("versionId"); v != "" && c.Key != "" {
		t.version = v
		if n.versioned != "" {
			action, also = n.versioned, n.alsoVersioned
		}
	}
	if err := c.may(ctx, action, t); err != nil {
		return err
	}
	if also != "" {
		if err := c.may(ctx, also, t); err != nil {
			return err
		}
	}
	return c.authorizeHeaders(ctx, t)
}

// authorizeHeaders asks for the rights that headers of a write take beside the one to write.
func (c *call) authorizeHeaders(ctx context.Context, t thing) error {
	h := c.HTTP.Header
	for _, n := range [...]struct {
		name, action string
		where        bool
	}{
		{"X-Amz-Tagging", "s3:PutObjectTagging", writes[c.op.Name] && (c.op.Name != "CopyObject" || h.Get("X-Amz-Tagging-Directive") == "REPLACE")},
		{"X-Amz-Object-Lock-Mode", "s3:PutObjectRetention", writes[c.op.Name]},
		{"X-Amz-Object-Lock-Retain-Until-Date", "s3:PutObjectRetention", writes[c.op.Name]},
		{"X-Amz-Object-Lock-Legal-Hold", "s3:PutObjectLegalHold", writes[c.op.Name]},
		// What is compared is told (S3 User Guide, "Conditional writes").
		{"If-Match", "s3:GetObject", creates[c.op.Name] || c.op.Name == "DeleteObject"},
		{"X-Amz-Object-Ownership", "s3:PutBucketOwnershipControls", c.op.Name == "CreateBucket"},
	} {
		if v := h[n.name]; !n.where || len(v) == 0 || v[0] == "" {
			continue
		}
		if err := c.may(ctx, n.action, t); err != nil {
			return err
		}
	}
	switch {
	case h.Get("X-Amz-Acl") == "" && !grants(h):
	case writes[c.op.Name]:
		return c.may(ctx, "s3:PutObjectAcl", t)
	case c.op.Name == "CreateBucket":
		return c.may(ctx, "s3:PutBucketAcl", t)
	}
	return nil
}

// may says whether the caller may do something: nil, AccessDenied, NoSuchBucket to whom nothing else
// speaks against it, or an error that leaves it open.
func (c *call) may(ctx context.Context, action string, t thing) error {
	r := acl.Request{Principal: c.Caller.Principal, Action: action, Resource: "*", Keys: c.conditionKeys()}
	rules := c.Caller.Rules()
	bucket := &iam.BucketRules{}
	if t.bucket != "" {
		r.Resource = acl.BucketARN(t.bucket)
		if t.key != "" {
			r.Resource = acl.ObjectARN(t.bucket, t.key)
		}
		if c.op.Name != "CreateBucket" { // which has no rules before it is there
			var err error
			if bucket, err = c.Rules.Rules(ctx, t.bucket); err != nil {
				return err
			}
			bucket.Apply(&rules, action)
		}
	}
	if err := c.addKeys(ctx, &r, &rules, &t, bucket.Keys); err != nil {
		return err
	}
	asked := false
	var object func() ([]byte, bool, error)
	if t.key != "" && bucket.ACLs {
		object = func() ([]byte, bool, error) {
			asked = true
			return c.objectACL(ctx, &t)
		}
	}
	d, err := bucket.Decide(&r, &rules, object)
	if err != nil {
		return err
	}
	if asked && d.Allowed {
		c.byACL = append(c.byACL, ground{ref: t.ref(), request: r, rules: rules})
	}
	c.Decisions.Note(action, &d)
	switch {
	case d.Allowed:
		return nil
	case bucket.Missing && !d.Explicit:
		return &api.Error{Kind: api.NoSuchBucket, Op: "s3op.may", Bucket: t.bucket}
	}
	return s3err.New(s3err.AccessDenied).Wrap(&deniedError{action, r.Resource, d})
}

// ground is a version of an object whose ACL allowed something.
type ground struct {
	ref     api.ObjectRef
	request acl.Request
	rules   acl.Rules
}

// objectACL gives the stored ACL of the object asked for. Of a key that has none, who may list the bucket is told so
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
func (c *call) objectACL(ctx context.Context, t *thing) (stored []byte, ok bool, err error) {
	ref := t.ref()
	info, err := c.Objects.Head(ctx, &ref)
	switch {
	case err == nil:
		return info.ACL, true, nil
	case !iam.IsNoVersion(err):
		return nil, false, err
	case t.version == "":
		if _, missing := missingKey(err); missing && c.may(ctx, "s3:ListBucket", thing{bucket: t.bucket}) == nil {
			return nil, false, errNoSuchKey(t.key)
		}
	}
	return nil, false, nil
}

// decide decides by the ACL of a version.
func (g *ground) decide(info *api.ObjectInfo) acl.Decision {
	g.rules.ACL = iam.ObjectACL(info.ACL)
	return acl.Evaluate(&g.request, &g.rules)
}

// confirm asks again of the version that is about to be read, where an ACL has allowed that: another one may have
// become current since.
func (c *call) confirm(ref *api.ObjectRef, info *api.ObjectInfo) error {
	for i := range c.byACL {
		g := &c.byACL[i]
		if g.ref.Bucket != ref.Bucket || g.ref.Key != ref.Key {
			continue
		}
		if d := g.decide(info); !d.Allowed {
			return s3err.New(s3err.AccessDenied).Wrap(&deniedError{g.request.Action, g.request.Resource, d})
		}
	}
	return nil
}

// addKeys gives the request the condition keys that the thing asked for has.
func (c *call) addKeys(ctx context.Context, r *acl.Request, rules *acl.Rules, t *thing, bucket map[string][]string) error {
	var more map[string][]string
	if t.key != "" && looksAtTags(r.Action) && (iam.NeedsTags(rules.Identity...) || iam.NeedsTags(rules.Sessions...) || iam.NeedsTags(rules.Bucket)) {
		tags, err := c.existingTags(ctx, t)
		if err != nil {
			return err
		}
		more = tags
	}
	if len(more) == 0 && len(t.keys) == 0 && len(bucket) == 0 {
		return nil
	}
	r.Keys = maps.Clone(r.Keys)
	maps.Copy(r.Keys, bucket)
	maps.Copy(r.Keys, more)
	maps.Copy(r.Keys, t.keys)
	return nil
}

// looksAtTags says whether an action has the condition key s3:ExistingObjectTag.
func looksAtTags(action string) bool {
	return strings.HasPrefix(action, "s3:GetObject") || strings.HasSuffix(action, "Tagging") || strings.HasPrefix(action, "s3:PutObject") && strings.HasSuffix(action, "Acl")
}

// existingTags are the tags that the object has now; none of one that is not there.
func (c *call) existingTags(ctx context.Context, t *thing) (map[string][]string, error) {
	ref := t.ref()
	info, err := c.Objects.Head(ctx, &ref)
	if err != nil {
		if iam.IsNoVersion(err) {
			return nil, nil
		}
		return nil, err
	}
	keys := make(map[string][]string, len(info.Tags))
	for _, tag := range info.Tags {
		keys["s3:existingobjecttag/"+strings.ToLower(tag.Key)] = []string{tag.Value}
	}
	return keys, nil
}

// hide turns the answer that a key does not exist into AccessDenied for who may not list the bucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
func (c *call) hide(ctx context.Context, err error) error {
	missing, ok := missingKey(err)
	if !ok || c.op.Scope != ObjectScope || c.op.free {
		return err
	}
	bucket := c.Bucket
	if missing != "" {
		bucket = missing
	}
	denied := c.may(ctx, "s3:ListBucket", thing{bucket: bucket})
	if denied == nil {
		return err
	}
	h := c.w.Header()
	for _, name := range [...]string{"X-Amz-Delete-Marker", "X-Amz-Version-Id", "Allow"} {
		delete(h, name)
	}
	return denied
}

// missingKey says whether an error tells that a key has no current version, and the bucket if it names one.
func missingKey(err error) (bucket string, ok bool) {
	var own *s3err.Error
	if errors.As(err, &own) {
		return "", own.Code == s3err.NoSuchKey
	}
	var store *api.Error
	if errors.As(err, &store) && (store.Kind == api.NoSuchKey || store.Kind == api.DeleteMarker) {
		return store.Bucket, true
	}
	return "", false
}
