//! Downloads: a file, or a range of one, read chunk by chunk as the client takes it.

use std::{
    future::Future as _,
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use fulmen_storage::ArtifactReader;
use http_body_util::BodyExt as _;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::task::JoinHandle;

use crate::frame::{ApiError, Code, Reply};

/// Bytes per read.
const CHUNK: usize = 256 << 10;
/// What may stand as it is in an extended parameter (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of a file on their way. No thread waits for a slow client: each read begins when the client has taken the last.
struct FileBody {
    reading: Reading,
    /// Bytes before the first that is asked for.
    skip: u64,
    left: u64,
}

enum Reading {
    Idle(ArtifactReader),
    Busy(JoinHandle<io::Result<(ArtifactReader, Bytes)>>),
    Over,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.reading, Reading::Over) {
                Reading::Over => return Poll::Ready(None),
                Reading::Idle(_) if self.left == 0 => return Poll::Ready(None),
                Reading::Idle(content) => {
                    let size = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
                    let skip = std::mem::take(&mut self.skip);
                    self.reading =
                        Reading::Busy(tokio::task::spawn_blocking(move || read(content, skip, size)));
                }
                Reading::Busy(mut reading) => {
                    let Poll::Ready(outcome) = Pin::new(&mut reading).poll(context) else {
                        self.reading = Reading::Busy(reading);
                        return Poll::Pending;
                    };
                    let (content, chunk) = outcome.map_err(io::Error::other)??;
                    self.left -= chunk.len() as u64;
                    self.reading = Reading::Idle(content);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read(mut content: ArtifactReader, skip: u64, size: usize) -> io::Result<(ArtifactReader, Bytes)> {
    content.skip(skip)?;
    let mut chunk = vec![0; size];
    content.read_exact(&mut chunk)?;
    Ok((content, chunk.into()))
}

/// Answers with the file `name`, or with the range of it that the request asks for.
pub(super) fn file(
    name: &str,
    content: ArtifactReader,
    size: u64,
    request: &HeaderMap,
) -> Result<Reply, ApiError> {
    let range = request.get(header::RANGE).and_then(|range| range.to_str().ok());
    let range = range.map_or(Ok(None), |range| parse_range(range, size));
    let range =
        range.map_err(|()| ApiError::new(Code::NO_RANGE, format!("the artifact has {size} bytes")))?;
    let (first, left) = range.unwrap_or((0, size));

    let mut reply =
        Response::new(FileBody { reading: Reading::Idle(content), skip: first, left }.boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_LENGTH, left.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    // Always an attachment: a page shown on this server's own name could write to it.
    headers.insert(header::CONTENT_DISPOSITION, attachment(name));
    if range.is_some() {
        if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{}/{size}", first + left - 1)) {
            headers.insert(header::CONTENT_RANGE, value);
        }
        *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(reply)
}

/// First byte and length of the range that a header asks for; `None` where the whole file is the right answer.
fn parse_range(header: &str, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(range) = header.strip_prefix("bytes=").filter(|range| !range.contains(',')) else {
        return Ok(None);
    };
    let Some((first, last)) = range.split_once('-') else { return Ok(None) };
    let (first, end) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, size.min(last.saturating_add(1))),
        (Ok(first), _) if last.trim().is_empty() => (first, size),
        (_, Ok(count)) if first.trim().is_empty() && count > 0 => (size.saturating_sub(count), size),
        (_, Ok(0)) if first.trim().is_empty() => return Err(()),
        _ => return Ok(None),
    };
    if first < end { Ok(Some((first, end - first))) } else { Err(()) }
}

/// `Content-Disposition` for a file's name, which may hold any character (RFC 6266).
fn attachment(name: &str) -> HeaderValue {
    let name = name.rsplit('/').next().unwrap_or(name);
    let plain: String =
        name.chars().filter(|letter| letter.is_ascii_graphic() && !"\"\\%".contains(*letter)).collect();
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(letter);
    let value = if !name.is_empty() && name.chars().all(is_token) {
        format!("attachment; filename={name}")
    } else {
        let encoded = utf8_percent_encode(name, PLAIN);
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
    };
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

/// What MLflow guesses from a file's name, as far as anybody looks at it.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "ini" | "md" | "rst" | "py" | "js" | "json"
        | "jsonl" | "yml" | "yaml" | "csv" | "tsv" | "xml" | "toml" | "sh" | "sql" => "text/plain",
        // MLflow's own description of a model.
        "mlmodel" | "mlproject" => "text/plain",
        "html" | "htm" => "text/html",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        _ if matches!(name.rsplit('/').next(), Some("MLmodel" | "MLproject" | "mlmodel" | "mlproject")) => {
            "text/plain"
        }
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_rfc_9110_says() {
        for (header, expected) in [
            ("bytes=0-4", Ok(Some((0, 5)))),
            ("bytes=5-", Ok(Some((5, 5)))),
            ("bytes=-3", Ok(Some((7, 3)))),
            ("bytes=-30", Ok(Some((0, 10)))),
            ("bytes=8-99", Ok(Some((8, 2)))),
            ("bytes=10-", Err(())),
            ("bytes=-0", Err(())),
            ("bytes=4-3", Ok(None)),
            ("bytes=0-1,3-4", Ok(None)),
            ("lines=0-1", Ok(None)),
            ("bytes=a-b", Ok(None)),
        ] {
            assert_eq!(parse_range(header, 10), expected, "{header}");
        }
        assert_eq!(parse_range("bytes=0-0", 0), Err(()));
    }

    #[test]
    fn names_cannot_break_out_of_their_header() {
        assert_eq!(attachment("a/b+c_1.txt"), "attachment; filename=b+c_1.txt");
        let value = attachment("a/b\"; x=\r\ny 日.txt");
        assert_eq!(
            value,
            "attachment; filename=\"b;x=y.txt\"; filename*=UTF-8''b%22%3B%20x%3D%0D%0Ay%20%E6%97%A5.txt"
        );
    }
}
