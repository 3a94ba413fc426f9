package s3op

import (
	"context"

	"shoal/gateway/s3xml"
)

// getObjectTagging is GetObjectTagging: no object has tags, and clients that copy
// objects ask (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html).
func getObjectTagging(ctx context.Context, c *call) error {
	ref, _, err := c.readRef()
	if err != nil {
		return err
	}
	info, err := c.Objects.Head(ctx, ref)
	if err != nil {
		return c.readError(err, ref)
	}
	set(c.w.Header(), "X-Amz-Version-Id", info.VersionID)
	return c.writeXML(s3xml.AppendNoTags)
}
