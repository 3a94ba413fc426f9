package s3op

import (
	"encoding/base64"
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Bounds of what an object carries beside its bytes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
const (
	userMetadataMax   = 2 << 10
	systemMetadataMax = 8 << 10
)

const defaultContentType = "binary/octet-stream"

// readMetadata reads the headers that are stored with an object.
func readMetadata(h http.Header) (api.Metadata, error) {
	md := api.Metadata{
		ContentType:        one(h, "Content-Type"),
		CacheControl:       one(h, "Cache-Control"),
		ContentDisposition: one(h, "Content-Disposition"),
		ContentEncoding:    contentEncoding(one(h, "Content-Encoding")),
		ContentLanguage:    one(h, "Content-Language"),
		Expires:            one(h, "Expires"),
		WebsiteRedirect:    one(h, "X-Amz-Website-Redirect-Location"),
	}
	if md.ContentType == "" {
		md.ContentType = defaultContentType
	}
	size := len(md.ContentType) + len(md.CacheControl) + len(md.ContentDisposition) + len(md.ContentEncoding) +
		len(md.ContentLanguage) + len(md.Expires)
	if size > systemMetadataMax {
		e := s3err.Newf(s3err.RequestHeaderSectionTooLarge, "Your request header section exceeds the maximum allowed size.").
			With("MaxSizeAllowed", itoa(systemMetadataMax))
		e.Status = http.StatusBadRequest
		return md, e
	}
	if err := checkRedirect(md.WebsiteRedirect); err != nil {
		return md, err
	}
	user, err := userMetadata(h)
	md.User = user
	return md, err
}

// userMetadata reads x-amz-meta-*. The size that counts is that of names and values.
func userMetadata(h http.Header) (map[string]string, error) {
	var user map[string]string
	size := 0
	for name, values := range h {
		if !strings.HasPrefix(name, metaPrefix) || len(name) == len(metaPrefix) {
			continue
		}
		if user == nil {
			user = make(map[string]string)
		}
		value := strings.Join(values, ",")
		size += len(name) - len(metaPrefix) + len(value)
		user[strings.ToLower(name[len(metaPrefix):])] = value
	}
	if size > userMetadataMax {
		return nil, s3err.New(s3err.MetadataTooLarge).
			With("Size", itoa(int64(size))).With("MaxSizeAllowed", itoa(userMetadataMax))
	}
	return user, nil
}

// one joins the lines of a header.
func one(h http.Header, name string) string {
	values := h[name]
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ", ")
}

// contentEncoding takes aws-chunked away: it frames the request's body and is no part
// of the object (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html).
func contentEncoding(value string) string {
	if !strings.Contains(value, "aws-chunked") {
		return value
	}
	var kept []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ",")
}

// checkRedirect holds a website redirect against what S3 takes.
func checkRedirect(location string) error {
	if location == "" {
		return nil
	}
	if len(location) > 2<<10 {
		return &s3err.Error{Code: "InvalidRedirectLocation", Status: http.StatusBadRequest,
			Message: "The length of website redirect location cannot exceed 2,048 characters."}
	}
	for _, prefix := range [...]string{"/", "http://", "https://"} {
		if strings.HasPrefix(location, prefix) {
			return nil
		}
	}
	return &s3err.Error{Code: "InvalidRedirectLocation", Status: http.StatusBadRequest,
		Message: "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."}
}

// writeMetadata sets the headers that an object was stored with.
func writeMetadata(h http.Header, md *api.Metadata) {
	contentType := md.ContentType
	if contentType == "" {
		contentType = defaultContentType
	}
	h["Content-Type"] = []string{contentType}
	set(h, "Cache-Control", md.CacheControl)
	set(h, "Content-Disposition", md.ContentDisposition)
	set(h, "Content-Encoding", md.ContentEncoding)
	set(h, "Content-Language", md.ContentLanguage)
	set(h, "Expires", md.Expires)
	set(h, "X-Amz-Website-Redirect-Location", md.WebsiteRedirect)
	for name, value := range md.User {
		h["x-amz-meta-"+name] = []string{headerText(value)}
	}
}

func set(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

// headerText gives a user's metadata value as a header can carry it: text beyond ASCII
// in the encoded words of RFC 2047. S3 takes the bytes that came for ISO 8859-1
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html#UserMetadata).
func headerText(value string) string {
	for i := range len(value) {
		if value[i] >= 0x80 {
			runes := make([]rune, len(value))
			for j := range len(value) {
				runes[j] = rune(value[j])
			}
			return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(string(runes))) + "?="
		}
	}
	return value
}
