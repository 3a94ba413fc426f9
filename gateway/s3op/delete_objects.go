package s3op

import (
	"context"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// deleteObjects is DeleteObjects
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
func deleteObjects(ctx context.Context, c *call) error {
	text, err := c.document(s3xml.MaxDelete, true)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	req, err := s3xml.ParseDelete(text)
	if err != nil {
		return xmlError(err)
	}
	bypass, err := c.asksBypass()
	if err != nil {
		return err
	}
	for i := range req.Items {
		req.Items[i].Bypass = bypass
	}
	results, err := c.deleteKeys(ctx, req.Items)
	if err != nil {
		return err
	}
	if bypass {
		c.outcome = stateText(results)
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendDeleteResult(b, results, req.Quiet) })
}

// deleteKeys removes the keys that can be keys and tells the outcome of each, in the
// order of items.
func (c *call) deleteKeys(ctx context.Context, items []api.DeleteItem) ([]s3xml.DeletedKey, error) {
	results := make([]s3xml.DeletedKey, len(items))
	wanted := make([]api.DeleteItem, 0, len(items))
	at := make([]int, 0, len(items))
	for i, item := range items {
		results[i] = s3xml.DeletedKey{Key: item.Key, VersionID: item.VersionID}
		if err := checkKey(item.Key); err != nil {
			results[i].Code, results[i].Message = failure(err)
			continue
		}
		if err := c.mayDelete(ctx, &item); err != nil {
			if s3err.From(err).Code != s3err.AccessDenied {
				return nil, err
			}
			results[i].Code, results[i].Message = failure(err)
			c.Decisions.partly = true
			continue
		}
		wanted, at = append(wanted, item), append(at, i)
	}
	if len(wanted) == 0 {
		return results, nil
	}
	done, err := c.Objects.DeleteMany(ctx, c.Bucket, wanted)
	if err != nil {
		return nil, err
	}
	for j, d := range done {
		result := &results[at[j]]
		switch {
		case d.Err != nil && result.VersionID != "" && api.KindOf(d.Err) == api.InvalidArgument:
			// What is no version ID names no version, as AWS answers here.
			result.Code, result.Message = failure(s3err.New(s3err.NoSuchVersion))
		case d.Err != nil:
			result.Code, result.Message = failure(d.Err)
		case d.DeleteMarker:
			result.Marker, result.MarkerVersion = true, d.VersionID
		}
	}
	return results, nil
}

// mayDelete asks for the rights to remove one of the keys.
func (c *call) mayDelete(ctx context.Context, item *api.DeleteItem) error {
	n, t := needs[c.op.Name], thing{bucket: c.Bucket, key: item.Key, version: item.VersionID}
	action := n.action
	if item.VersionID != "" {
		action, t.keys = n.versioned, map[string][]string{"s3:versionid": {item.VersionID}}
	}
	if err := c.may(ctx, action, t); err != nil {
		return err
	}
	if item.If.IfMatch != "" {
		if err := c.may(ctx, "s3:GetObject", t); err != nil {
			return err
		}
	}
	if item.Bypass {
		return c.may(ctx, bypassAction, t)
	}
	return nil
}

// failure is an error in one line of an answer.
func failure(err error) (code, message string) {
	e := s3err.From(err)
	return string(e.Code), e.Message
}
