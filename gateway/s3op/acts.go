package s3op

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// act is what the log of acts tells of an operation.
type act struct {
	kind audit.ActKind
	// look gives what the operation is about as it is now, before and after; "" for nothing.
	look func(ctx context.Context, c *call) (string, error)
	// bypassing operations are acts only when they bypass governance retention.
	bypassing bool
}

// acts are the operations that are acts, by their names. That a write makes an object with an ACL or a lock
// is in the access log alone.
var acts = map[string]act{
	"CreateBucket":                    {kind: audit.OnConfiguration, look: lookBucket},
	"DeleteBucket":                    {kind: audit.OnConfiguration, look: lookBucket},
	"DeleteBucketCors":                {kind: audit.OnConfiguration, look: lookDocument(api.ConfigCORS)},
	"DeleteBucketEncryption":          {kind: audit.OnConfiguration, look: lookDocument(api.ConfigEncryption)},
	"DeleteBucketLifecycle":           {kind: audit.OnConfiguration, look: lookLifecycle},
	"DeleteBucketOwnershipControls":   {kind: audit.OnPermission, look: lookDocument(api.ConfigOwnership)},
	"DeleteBucketPolicy":              {kind: audit.OnPermission, look: lookDocument(api.ConfigPolicy)},
	"DeleteBucketTagging":             {kind: audit.OnConfiguration, look: lookDocument(api.ConfigTagging)},
	"DeleteObject":                    {kind: audit.OnLock, look: lookLock, bypassing: true},
	"DeleteObjects":                   {kind: audit.OnLock, look: lookOutcome, bypassing: true},
	"DeletePublicAccessBlock":         {kind: audit.OnPermission, look: lookDocument(api.ConfigPublicAccess)},
	"PutBucketAcl":                    {kind: audit.OnPermission, look: lookBucketACL},
	"PutBucketCors":                   {kind: audit.OnConfiguration, look: lookDocument(api.ConfigCORS)},
	"PutBucketEncryption":             {kind: audit.OnConfiguration, look: lookDocument(api.ConfigEncryption)},
	"PutBucketLifecycleConfiguration": {kind: audit.OnConfiguration, look: lookLifecycle},
	"PutBucketOwnershipControls":      {kind: audit.OnPermission, look: lookDocument(api.ConfigOwnership)},
	"PutBucketPolicy":                 {kind: audit.OnPermission, look: lookDocument(api.ConfigPolicy)},
	"PutBucketTagging":                {kind: audit.OnConfiguration, look: lookDocument(api.ConfigTagging)},
	"PutBucketVersioning":             {kind: audit.OnConfiguration, look: lookVersioning},
	"PutObjectAcl":                    {kind: audit.OnPermission, look: lookObjectACL},
	"PutObjectLegalHold":              {kind: audit.OnLock, look: lookLock},
	"PutObjectLockConfiguration":      {kind: audit.OnLock, look: lookVersioning},
	"PutObjectRetention":              {kind: audit.OnLock, look: lookLock},
	"PutPublicAccessBlock":            {kind: audit.OnPermission, look: lookDocument(api.ConfigPublicAccess)},
}

// lookWithin bounds how long the state after an act is looked for.
const lookWithin = 5 * time.Second

// serveActing serves an operation. When it is an act, what is intended is recorded before it is asked for, and the outcome
// before its answer. What is refused before that is in the access log alone.
func (c *call) serveActing(ctx context.Context) error {
	a, ok := acts[c.op.Name]
	if !ok || c.Acts == nil {
		return c.op.serve(ctx, c)
	}
	bypass, err := c.asksBypass()
	if a.bypassing && (!bypass || err != nil) {
		return c.op.serve(ctx, c)
	}
	rec := &audit.Act{
		Time: c.Now, RemoteAddr: c.HTTP.RemoteAddr, User: c.Caller.ID, AccessKeyID: c.AccessKeyID, RequestID: c.RequestID, Kind: a.kind,
		Operation: c.op.Name, Target: c.Bucket, VersionID: c.Query.Get("versionId"), Bypass: bypass,
	}
	if c.Key != "" {
		rec.Target += "/" + c.Key
	}
	plain := *c // asks without an intent
	c.intending(func(ctx context.Context) error {
		if rec.Intent != "" {
			return nil
		}
		rec.Before = plain.look(ctx, &a)
		if err := c.Acts.Begin(rec, ""); err != nil {
			return s3err.Newf(s3err.ServiceUnavailable, "What is to be changed cannot be put on record.").Wrap(err)
		}
		return nil
	})
	w := &actWriter{ResponseWriter: c.w}
	defer func() {
		if rec.Intent != "" && w.done != nil { // it panicked
			rec.Failed = string(s3err.InternalError)
			c.record(rec)
		}
	}()
	w.done = func() {
		// The client may have gone; the act is done.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
		defer cancel()
		rec.After = c.look(ctx, &a)
		c.record(rec)
	}
	c.w = w
	if err = c.op.serve(ctx, c); err == nil {
		w.end()
		return nil
	}
	if w.done == nil {
		return err
	}
	w.done = nil
	switch e := s3err.From(err); {
	case rec.Intent == "": // nothing was asked for
	case e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented:
		rec.Failed = string(e.Code)
		c.record(rec)
	default:
		c.record(&audit.Refusal{Time: c.Now, Intent: rec.Intent, ErrorCode: string(e.Code)})
	}
	return err
}

// record adds the outcome of an act. That it cannot be written is told in the log of the process.
func (c *call) record(e audit.Entry) {
	if err := c.Acts.Append(e); err != nil && c.Logger != nil {
		c.Logger.Error("an act is not on the record", "request_id", c.RequestID, "operation", c.op.Name, "err", err)
	}
}

// actWriter has an act recorded before it is answered.
type actWriter struct {
	http.ResponseWriter
	done func() // nil once called
}

func (w *actWriter) end() {
	if f := w.done; f != nil {
		w.done = nil
		f()
	}
}

// WriteHeader records and sends the head.
func (w *actWriter) WriteHeader(status int) {
	w.end()
	w.ResponseWriter.WriteHeader(status)
}

// Write records and sends.
func (w *actWriter) Write(b []byte) (int, error) {
	w.end()
	return w.ResponseWriter.Write(b)
}

// Unwrap gives the writer below.
func (w *actWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// look gives the state, or says that it could not be looked at.
func (c *call) look(ctx context.Context, a *act) string {
	text, err := a.look(ctx, c)
	if err == nil {
		return text
	}
	switch api.KindOf(err) {
	case api.NoSuchBucket, api.NoSuchKey, api.NoSuchVersion, api.DeleteMarker, api.InvalidArgument:
		return ""
	}
	return stateText(map[string]string{"unknown": api.KindOf(err).String()})
}

func stateText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // the states are plain structs
	}
	return string(text)
}

// lookDocument looks at what is set for the bucket under a name.
func lookDocument(name string) func(context.Context, *call) (string, error) {
	return func(ctx context.Context, c *call) (string, error) {
		conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
		if err != nil {
			return "", err
		}
		if text := string(conf.Documents[name]); text != iam.RemovedDocument {
			return text, nil
		}
		return "removed", nil
	}
}

// lookLifecycle gives the rules as S3 shows them.
func lookLifecycle(ctx context.Context, c *call) (string, error) {
	text, err := lookDocument(api.ConfigLifecycle)(ctx, c)
	if err != nil || text == "" {
		return "", err
	}
	rules, err := api.ParseLifecycle([]byte(text))
	if err != nil {
		return "", err
	}
	return stateText(rules), nil
}

func lookBucket(ctx context.Context, c *call) (string, error) {
	info, err := c.Buckets.HeadBucket(ctx, c.Bucket)
	if err != nil {
		return "", err
	}
	return stateText(struct {
		ID       uint64    `json:"id"`
		Owner    string    `json:"owner"`
		Location string    `json:"location,omitempty"`
		Created  time.Time `json:"created"`
	}{info.ID, info.Owner, info.Location, info.Created}), nil
}

// retentionState is a retention as the record tells it.
type retentionState struct {
	Mode  string    `json:"mode,omitempty"`
	Until time.Time `json:"until,omitzero"`
	Days  int       `json:"days,omitempty"`
	Years int       `json:"years,omitempty"`
}

func lookVersioning(ctx context.Context, c *call) (string, error) {
	v, err := c.Versions.Versioning(ctx, c.Bucket)
	if err != nil {
		return "", err
	}
	return stateText(struct {
		Versioning string         `json:"versioning"`
		ObjectLock bool           `json:"object_lock"`
		Default    retentionState `json:"default,omitzero"`
	}{[...]string{"off", "enabled", "suspended"}[v.State], v.ObjectLock, retentionState{Mode: modeName(v.Default.Mode), Days: v.Default.Days, Years: v.Default.Years}}), nil
}

func modeName(m api.LockMode) string {
	if m == api.NoRetention {
		return ""
	}
	return s3xml.LockModeName(m)
}

// lookVersion finds the version that the request names.
func (c *call) lookVersion(ctx context.Context) (*api.ObjectInfo, error) {
	return c.Objects.Head(ctx, &api.ObjectRef{Bucket: c.Bucket, Key: c.Key, VersionID: c.Query.Get("versionId")})
}

func lookLock(ctx context.Context, c *call) (string, error) {
	info, err := c.lookVersion(ctx)
	if err != nil {
		return "", err
	}
	return stateText(struct {
		VersionID string         `json:"version_id"`
		Retention retentionState `json:"retention,omitzero"`
		LegalHold bool           `json:"legal_hold"`
	}{info.VersionID, retentionState{Mode: modeName(info.Lock.Mode), Until: info.Lock.Until}, info.Lock.LegalHold}), nil
}

func lookObjectACL(ctx context.Context, c *call) (string, error) {
	info, err := c.lookVersion(ctx)
	if err != nil {
		return "", err
	}
	return aclText(info.ACL)
}

func lookBucketACL(ctx context.Context, c *call) (string, error) {
	text, err := lookDocument(api.ConfigACL)(ctx, c)
	if err != nil {
		return "", err
	}
	return aclText([]byte(text))
}

// aclText gives an ACL as S3 shows it, "" for one that was never set.
func aclText(stored []byte) (string, error) {
	if len(stored) == 0 {
		return "", nil
	}
	a, err := iam.ReadACL(stored, owner)
	if err != nil {
		return "", err
	}
	return string(s3xml.AppendACL(nil, api.RootPrincipal, a)), nil
}

// lookOutcome gives what the operation has said by itself.
func lookOutcome(_ context.Context, c *call) (string, error) { return c.outcome, nil }
