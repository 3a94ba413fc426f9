package s3op

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"shoal/node/api"
)

// deleteObject is DeleteObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html).
func deleteObject(ctx context.Context, c *call) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	version, err := c.versionID()
	if err != nil {
		return err
	}
	item := api.DeleteItem{Key: c.Key, VersionID: version}
	if err := deleteConditions(c.HTTP.Header, &item); err != nil {
		return err
	}
	if item.Bypass, err = c.bypass(ctx); err != nil {
		return err
	}
	d, err := c.Objects.Delete(ctx, &api.DeleteObject{Bucket: c.Bucket, DeleteItem: item})
	if err != nil {
		if item.If.IfMatch != "" {
			err = conditionError(err, item.If)
		}
		return versionError(err, "versionId", version)
	}
	h := c.w.Header()
	set(h, "X-Amz-Version-Id", d.VersionID)
	if d.DeleteMarker {
		h["X-Amz-Delete-Marker"] = []string{"true"}
	}
	return c.writeNoContent()
}

// deleteConditions reads If-Match and the two conditions on size and time.
func deleteConditions(h http.Header, item *api.DeleteItem) error {
	if _, ok := h["If-None-Match"]; ok {
		return errHeaderNotImplemented("If-None-Match")
	}
	cond, err := writeCondition(h)
	if err != nil {
		return err
	}
	item.If = cond
	if text := h.Get("X-Amz-If-Match-Size"); text != "" {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size < 0 {
			return errInvalidArgument("x-amz-if-match-size", text, "The size is not valid.")
		}
		item.IfSize = &size
	}
	if text := h.Get("X-Amz-If-Match-Last-Modified-Time"); text != "" {
		t, err := http.ParseTime(text)
		if err != nil {
			if t, err = time.Parse(time.RFC3339, text); err != nil {
				return errInvalidArgument("x-amz-if-match-last-modified-time", text, "The time is not valid.")
			}
		}
		item.IfModified = &t
	}
	return nil
}
