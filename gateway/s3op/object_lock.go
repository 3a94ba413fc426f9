package s3op

import (
	"context"
	"net/http"
	"strings"
	"time"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// getObjectLockConfiguration is GetObjectLockConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html).
func getObjectLockConfiguration(ctx context.Context, c *call) error {
	v, err := c.Versions.Versioning(ctx, c.Bucket)
	if err != nil {
		return err
	}
	if !v.ObjectLock {
		return s3err.New(s3err.ObjectLockConfigurationNotFoundError).With("BucketName", c.Bucket)
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendLockConfiguration(b, v.Default) })
}

// Greatest periods of a default retention
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html).
const (
	retentionDaysMax  = 36500
	retentionYearsMax = 100
)

// putObjectLockConfiguration is PutObjectLockConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html).
func putObjectLockConfiguration(ctx context.Context, c *call) error {
	text, err := c.requiredDocument(s3xml.MaxObjectLock, true)
	if err != nil {
		return err
	}
	cfg, err := s3xml.ParseLockConfiguration(text)
	if err != nil {
		return xmlError(err)
	}
	def := api.DefaultRetention{Mode: cfg.Mode}
	for _, p := range [...]struct {
		sent *int
		most int
		to   *int
	}{{cfg.Days, retentionDaysMax, &def.Days}, {cfg.Years, retentionYearsMax, &def.Years}} {
		if p.sent == nil {
			continue
		}
		if *p.sent < 1 {
			return s3err.Newf(s3err.InvalidRetentionPeriod, "Default retention period must be a positive integer value.")
		}
		if *p.sent > p.most {
			return s3err.Newf(s3err.InvalidRetentionPeriod, "Default retention period too large.")
		}
		*p.to = *p.sent
	}
	if err := c.Versions.SetObjectLock(ctx, c.Bucket, def); err != nil {
		return err
	}
	return c.writeEmpty()
}

// getObjectRetention is GetObjectRetention
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html).
func getObjectRetention(ctx context.Context, c *call) error {
	info, err := c.lockedObject(ctx)
	if err != nil {
		return err
	}
	if info.Lock.Mode == api.NoRetention {
		return s3err.New(s3err.NoSuchObjectLockConfiguration)
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendRetention(b, &info.Lock) })
}

// getObjectLegalHold is GetObjectLegalHold
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html).
func getObjectLegalHold(ctx context.Context, c *call) error {
	info, err := c.lockedObject(ctx)
	if err != nil {
		return err
	}
	if !info.Lock.HoldSet {
		return s3err.New(s3err.NoSuchObjectLockConfiguration)
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendLegalHold(b, info.Lock.LegalHold) })
}

// lockedObject describes a version of a bucket that has object lock.
func (c *call) lockedObject(ctx context.Context) (*api.ObjectInfo, error) {
	ref, err := c.subresourceRef()
	if err != nil {
		return nil, err
	}
	v, err := c.Versions.Versioning(ctx, c.Bucket)
	if err != nil {
		return nil, err
	}
	if !v.ObjectLock {
		return nil, &api.Error{Kind: api.NoObjectLock, Op: "s3op.lockedObject", Bucket: c.Bucket}
	}
	info, err := c.Objects.Head(ctx, ref)
	if err != nil {
		return nil, c.subresourceError(err, ref)
	}
	return info, nil
}

// putObjectRetention is PutObjectRetention
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html).
func putObjectRetention(ctx context.Context, c *call) error {
	text, err := c.requiredDocument(s3xml.MaxObjectLock, true)
	if err != nil {
		return err
	}
	ref, err := c.subresourceRef()
	if err != nil {
		return err
	}
	req := &api.SetRetention{ObjectRef: *ref}
	if req.Mode, req.Until, err = s3xml.ParseRetention(text); err != nil {
		return xmlError(err)
	}
	if err := c.authorizeOwn(ctx, retentionKeys(req, c.Now)); err != nil {
		return err
	}
	if req.Mode != api.NoRetention {
		if err := c.checkUntil(req.Until); err != nil {
			return err
		}
	}
	if req.Bypass, err = c.bypass(ctx); err != nil {
		return err
	}
	if err := c.Versions.SetRetention(ctx, req); err != nil {
		return c.subresourceError(err, ref)
	}
	return c.writeEmpty()
}

// retentionKeys are the condition keys of a retention that is to be set.
func retentionKeys(req *api.SetRetention, now time.Time) map[string][]string {
	if req.Mode == api.NoRetention {
		return nil
	}
	return map[string][]string{
		"s3:object-lock-mode":                     {s3xml.LockModeName(req.Mode)},
		"s3:object-lock-retain-until-date":        {req.Until.UTC().Format(time.RFC3339)},
		"s3:object-lock-remaining-retention-days": {remainingDays(req.Until, now)},
	}
}

// putObjectLegalHold is PutObjectLegalHold
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html).
func putObjectLegalHold(ctx context.Context, c *call) error {
	text, err := c.requiredDocument(s3xml.MaxObjectLock, true)
	if err != nil {
		return err
	}
	ref, err := c.subresourceRef()
	if err != nil {
		return err
	}
	on, err := s3xml.ParseLegalHold(text)
	if err != nil {
		return xmlError(err)
	}
	hold := "OFF"
	if on {
		hold = "ON"
	}
	if err := c.authorizeOwn(ctx, map[string][]string{"s3:object-lock-legal-hold": {hold}}); err != nil {
		return err
	}
	if err := c.Versions.SetLegalHold(ctx, ref, on); err != nil {
		return c.subresourceError(err, ref)
	}
	return c.writeEmpty()
}

const bypassHeader = "x-amz-bypass-governance-retention"

// bypass says whether the request asks to bypass governance retention. Who asks for a key and may not is
// refused, as S3 refuses a missing s3:BypassGovernanceRetention.
func (c *call) bypass(ctx context.Context) (bool, error) {
	asked, err := c.asksBypass()
	if asked && err == nil {
		err = c.may(ctx, bypassAction, thing{bucket: c.Bucket, key: c.Key, version: c.Query.Get("versionId")})
	}
	return asked && err == nil, err
}

const bypassAction = "s3:BypassGovernanceRetention"

func (c *call) asksBypass() (bool, error) {
	switch text := c.HTTP.Header.Get("X-Amz-Bypass-Governance-Retention"); {
	case text == "" || strings.EqualFold(text, "false"):
		return false, nil
	case !strings.EqualFold(text, "true"):
		return false, errInvalidArgument(bypassHeader, text, "The value of "+bypassHeader+" must be true or false.")
	}
	return true, nil
}

// retentionMax is how far ahead a retention may end: a century, and a little for clocks.
const retentionMax = (100*366 + 1) * 24 * time.Hour

// checkUntil holds the end of a retention against the clock.
func (c *call) checkUntil(until time.Time) error {
	switch {
	case !until.After(c.Now):
		return errInvalidArgument("x-amz-object-lock-retain-until-date", until.Format(time.RFC3339), "The retain until date must be in the future!")
	case until.After(c.Now.Add(retentionMax)):
		return errInvalidArgument("x-amz-object-lock-retain-until-date", until.Format(time.RFC3339), "The retain until date is too far ahead.")
	}
	return nil
}

// lockHeaders are those by which a write locks the version that it makes.
const lockHeaders = " x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold"

// readLock reads the lock that a write asks for; asked is false when it asks for none.
func (c *call) readLock() (l api.Lock, asked bool, err error) {
	h := c.HTTP.Header
	mode, until, hold := h.Get("X-Amz-Object-Lock-Mode"), h.Get("X-Amz-Object-Lock-Retain-Until-Date"), h.Get("X-Amz-Object-Lock-Legal-Hold")
	asked = mode != "" || until != "" || hold != ""
	if (mode == "") != (until == "") {
		return l, asked, errInvalidArgument("x-amz-object-lock-mode", mode,
			"x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if mode != "" {
		var ok bool
		if l.Mode, ok = s3xml.LockMode(mode); !ok {
			return l, asked, errInvalidArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
		}
		if l.Until, err = time.Parse(time.RFC3339, until); err != nil {
			return l, asked, errInvalidArgument("x-amz-object-lock-retain-until-date", until,
				"The retain until date must be provided in ISO 8601 format")
		}
		if err := c.checkUntil(l.Until); err != nil {
			return l, asked, err
		}
	}
	switch hold {
	case "", "OFF":
	case "ON":
		l.LegalHold = true
	default:
		return l, asked, errInvalidArgument("x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	return l, asked, nil
}

// writeLock tells what locks a version.
func writeLock(h http.Header, l *api.Lock) {
	if l.Mode != api.NoRetention {
		h["X-Amz-Object-Lock-Mode"] = []string{s3xml.LockModeName(l.Mode)}
		h["X-Amz-Object-Lock-Retain-Until-Date"] = []string{l.Until.UTC().Format("2006-01-02T15:04:05.000Z")}
	}
	switch {
	case l.LegalHold:
		h["X-Amz-Object-Lock-Legal-Hold"] = []string{"ON"}
	case l.HoldSet:
		h["X-Amz-Object-Lock-Legal-Hold"] = []string{"OFF"}
	}
}
