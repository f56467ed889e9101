//! Uploads in parts, for large files: begun, sent in any order, put together at the end. All of it lies on the disk, so
//! that an upload outlives a restart of the server.

use std::{
    io::{self, Read},
    sync::Arc,
};

use fulmen_storage::{ArtifactReader, ArtifactStore, StorageError};
use hyper::header::{ETAG, HeaderValue};
use serde::Serialize;
use uuid::Uuid;

use super::{name, place::Place, upload};
use crate::{
    frame::{ApiError, Code, Pool, Reply, RequestBody, json},
    wire::Fields,
};

/// Most parts of one upload, as in S3.
const MAX_PARTS: i64 = 10_000;
/// Holds the name that the file will have.
const TARGET: &str = "target";

/// The JSON of one part's address.
#[derive(Serialize)]
struct Credential {
    url: String,
    part_number: i64,
    headers: std::collections::BTreeMap<String, String>,
}

/// Begins an upload of the file that the request names in `folder`; parts go below `address`.
pub(super) fn create(
    place: &Place,
    folder: &str,
    fields: Fields<'_>,
    address: &str,
) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Created {
        upload_id: String,
        credentials: Vec<Credential>,
    }
    let count = fields.integer("num_parts")?.unwrap_or(1);
    if !(1..=MAX_PARTS).contains(&count) {
        return Err(ApiError::invalid(format!("num_parts is {count}, expected 1 to {MAX_PARTS}")));
    }
    let target = target(folder, fields)?;
    place.give_up_abandoned();
    let upload_id = Uuid::new_v4().simple().to_string();
    place.parts(&upload_id).put_bytes(TARGET, target.as_bytes())?;
    let credentials = (1..=count).map(|part_number| Credential {
        url: format!("{address}/{upload_id}/{part_number}"),
        part_number,
        headers: Default::default(),
    });
    let created = Created { credentials: credentials.collect(), upload_id };
    serde_json::to_vec(&created).map_err(|error| ApiError::new(Code::INTERNAL, error.to_string()))
}

/// Receives one part: `<upload>/<number>`.
pub(super) async fn part(
    place: Arc<Place>,
    pool: &Pool,
    path: &str,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let unknown = || ApiError::new(Code::NO_ENDPOINT, format!("no part {path:?} of an upload"));
    let (upload_id, number) = path.split_once('/').ok_or_else(unknown)?;
    let number: i64 =
        number.parse().ok().filter(|number| (1..=MAX_PARTS).contains(number)).ok_or_else(unknown)?;
    let (parts, _) = open(&place, upload_id)?;
    let write = move |content| Ok(parts.put_reader(&part_name(number), content)?);
    let written = upload::receive(pool, body, None, write).await?;
    let mut reply = json(b"{}".to_vec());
    let etag = written.digest.unwrap_or_default();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{etag}\"")) {
        reply.headers_mut().insert(ETAG, etag);
    }
    Ok(reply)
}

/// Puts the parts together, in the order of their numbers, and gives the file its name.
pub(super) fn complete(place: &Place, folder: &str, fields: Fields<'_>) -> Result<(), ApiError> {
    let (parts, target) = expected_upload(place, folder, fields)?;
    let mut listed = fields.objects("parts", |part| {
        let number =
            part.integer("part_number")?.ok_or_else(|| ApiError::invalid("a part has no part_number"))?;
        Ok((number, part.text("etag")?.unwrap_or_default().trim_matches('"').to_owned()))
    })?;
    listed.sort();
    if listed.is_empty() || listed.iter().zip(1..).any(|((number, _), expected)| *number != expected) {
        return Err(ApiError::invalid("the parts have to be numbered from 1 without a gap"));
    }
    let stored = parts.list("")?.files;
    for (number, etag) in &listed {
        let name = part_name(*number);
        let digest = stored.iter().find(|file| file.name.as_str() == name).map(|file| file.digest.as_deref());
        match digest {
            None => return Err(ApiError::invalid(format!("part {number} has not come; send it again"))),
            Some(digest) if digest.unwrap_or_default() != etag => {
                return Err(ApiError::invalid(format!(
                    "part {number} is not the one with etag {etag:?}; send it again"
                )));
            }
            Some(_) => {}
        }
    }
    place
        .write(&target, Parts { store: parts.clone(), next: 1, count: listed.len() as i64, current: None })?;
    Ok(parts.delete_all()?)
}

/// Forgets an upload and its parts.
pub(super) fn abort(place: &Place, folder: &str, fields: Fields<'_>) -> Result<(), ApiError> {
    let (parts, _) = expected_upload(place, folder, fields)?;
    Ok(parts.delete_all()?)
}

/// The parts one after the other, one open file at a time.
struct Parts {
    store: ArtifactStore,
    next: i64,
    count: i64,
    current: Option<ArtifactReader>,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.current {
                match file.read(buffer)? {
                    0 => self.current = None,
                    count => return Ok(count),
                }
            }
            if self.next > self.count {
                return Ok(0);
            }
            self.current = Some(self.store.reader(&part_name(self.next)).map_err(io::Error::other)?);
            self.next += 1;
        }
    }
}

/// The parts of an upload, and the name that its file will have.
fn open(place: &Place, upload_id: &str) -> Result<(ArtifactStore, String), ApiError> {
    let missing = || {
        ApiError::new(
            Code::MISSING,
            format!("no upload {upload_id:?}; it was completed, aborted or given up"),
        )
    };
    if upload_id.len() != 32 || !upload_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(missing());
    }
    let parts = place.parts(upload_id);
    let mut target = String::new();
    match parts.reader(TARGET) {
        Ok(mut reader) => reader.read_to_string(&mut target).map_err(|_| missing())?,
        Err(StorageError::Missing { .. }) => return Err(missing()),
        Err(error) => return Err(error.into()),
    };
    Ok((parts, target))
}

/// As [`open`], for a request that has to name the same file as the one that began the upload.
fn expected_upload(
    place: &Place,
    folder: &str,
    fields: Fields<'_>,
) -> Result<(ArtifactStore, String), ApiError> {
    let (parts, begun) = open(place, fields.required("upload_id")?)?;
    if target(folder, fields)? != begun {
        return Err(ApiError::invalid("the upload was begun for another file"));
    }
    Ok((parts, begun))
}

/// The name of the file: the client sends its own path, of which the last part counts.
fn target(folder: &str, fields: Fields<'_>) -> Result<String, ApiError> {
    let path = fields.required("path")?;
    name::file(&name::join(folder, path.rsplit(['/', '\\']).next().unwrap_or(path)))
}

fn part_name(number: i64) -> String {
    format!("part-{number:05}")
}
