package s3xml

// AppendPosted appends the document that PostObject answers with 201
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html).
func AppendPosted(b []byte, location, bucket, key, etag string) []byte {
	const root = "PostResponse"
	b = open(append(b, header...), root)
	b = element(b, "Location", location)
	b = element(b, "Bucket", bucket)
	b = element(b, "Key", key)
	return shut(quoted(b, "ETag", etag), root)
}
