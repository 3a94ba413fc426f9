package s3op

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// attributesPageMax is the greatest page of parts, and the default.
const attributesPageMax = 1000

// getObjectAttributes is GetObjectAttributes
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html).
func getObjectAttributes(ctx context.Context, c *call) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	version, err := c.versionID()
	if err != nil {
		return err
	}
	wanted, err := readAttributes(c.HTTP.Header)
	if err != nil {
		return err
	}
	parts, err := readPartsPage(c.HTTP.Header)
	if err != nil {
		return err
	}
	key, err := c.customerKey()
	if err != nil {
		return err
	}
	ref := &api.ObjectRef{Bucket: c.Bucket, Key: c.Key, VersionID: version, Parts: wanted["ObjectParts"]}
	info, err := c.Objects.Head(ctx, ref)
	if err == nil {
		err = info.Metadata.OpensWith("s3op.getObjectAttributes", key)
	}
	if err != nil {
		return c.readError(err, ref)
	}
	doc := describeAttributes(info, wanted, parts)
	h := c.w.Header()
	h["Last-Modified"] = []string{httpTime(info.LastModified)}
	set(h, "X-Amz-Version-Id", info.VersionID)
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendAttributes(b, doc) })
}

// readAttributes reads which attributes are wanted; at least one must be.
func readAttributes(h http.Header) (map[string]bool, error) {
	wanted := make(map[string]bool)
	for _, line := range h["X-Amz-Object-Attributes"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.TrimSpace(name); name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				wanted[name] = true
			default:
				return nil, errInvalidArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
			}
		}
	}
	if len(wanted) == 0 {
		return nil, errInvalidRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return wanted, nil
}

// readPartsPage reads which parts are wanted.
func readPartsPage(h http.Header) (*s3xml.AttributeParts, error) {
	page := &s3xml.AttributeParts{Max: attributesPageMax}
	if text := h.Get("X-Amz-Max-Parts"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return nil, errInvalidArgument("x-amz-max-parts", text, "Argument max-parts must be an integer between 0 and 2147483647")
		}
		page.Max = min(int(n), attributesPageMax)
	}
	if text := h.Get("X-Amz-Part-Number-Marker"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return nil, errInvalidArgument("x-amz-part-number-marker", text,
				"Argument part-number-marker must be an integer between 0 and 2147483647")
		}
		page.Marker = int(n)
	}
	return page, nil
}

// describeAttributes fills the document.
func describeAttributes(info *api.ObjectInfo, wanted map[string]bool, page *s3xml.AttributeParts) *s3xml.Attributes {
	doc := new(s3xml.Attributes)
	if wanted["ETag"] {
		doc.ETag = info.ETag
	}
	if wanted["Checksum"] {
		doc.Checksum = &info.Checksum
	}
	if wanted["StorageClass"] {
		doc.StorageClass = info.Class.String()
	}
	if wanted["ObjectSize"] {
		doc.Size = &info.Size
	}
	if wanted["ObjectParts"] && info.PartsCount > 0 {
		fillParts(page, info)
		doc.Parts = page
	}
	return doc
}

// fillParts cuts a page out of the object's parts.
func fillParts(page *s3xml.AttributeParts, info *api.ObjectInfo) {
	page.Total = info.PartsCount
	for _, p := range info.Parts {
		if p.Number <= page.Marker {
			continue
		}
		if len(page.Parts) == page.Max {
			page.Truncated = true
			break
		}
		page.Parts = append(page.Parts, p)
		page.Next = p.Number
	}
}
