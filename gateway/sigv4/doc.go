// Package sigv4 checks AWS Signature Version 4 as S3 uses it: in the Authorization
// header, in the query string of a presigned URL, and in the chunks and trailers of a
// streamed body.
//
// What holds after Authenticate returned without an error:
//
//   - The request was signed with the secret of the access key it names, for this
//     region, this service and a time that is near enough.
//   - Method, path, query string and host were signed, and so was every header
//     x-amz-* that arrived: nobody can add one to a URL that was given to him.
//   - The body is described by Payload. Its bytes are proven only when Body has given
//     io.EOF and Verify has returned nil; a store must not make anything visible before.
//
// Secrets, signing keys and expected signatures appear in no error and no log. The
// package knows no policy: it says who asks, not what he may do.
//
// Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html.
package sigv4
