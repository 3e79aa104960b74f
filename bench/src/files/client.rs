//! The client of all lines: connections are kept, bodies go out as a stream, and answers are read to their end and not kept.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::content::Content;
use super::parts::Parts;
use crate::failure::{Doing as _, Failure, Result};

/// How long a request may take, from its first byte to the last one of its answer.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often a client comes again that was told when it may.
const TIMES: u32 = 50;
/// Bytes of an answer that are told of where it is none that was asked for.
const TOLD: usize = 500;

/// Where an object is, and what has to be said to be let in.
#[derive(Clone, Debug)]
pub struct Address {
    /// Where it is stored.
    pub put: Uri,
    /// Where it is fetched.
    pub get: Uri,
    /// What has to be said, unless it is in the addresses.
    pub authorization: Option<HeaderValue>,
    /// How it is stored in parts, where it is.
    pub parts: Option<Parts>,
}

/// What came of fetching an object.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// How often it was told to come later.
    pub turned_away: u32,
    /// The SHA-256 of what came, where it was asked for.
    pub sha256: Option<[u8; 32]>,
}

/// Kept connections to one service.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpConnector, Content>);

impl Client {
    /// One without a connection yet.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(legacy::Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Stores an object; how often the client was told to come later.
    pub async fn put(&self, to: &Address, content: &Content) -> Result<u32> {
        let what = "storing an object";
        let whole = async {
            if let Some(parts) = &to.parts {
                return parts.put(self, content).await;
            }
            let (answer, turned_away) = self.ask(&Method::PUT, &to.put, to.authorization.as_ref(), content).await?;
            read(answer, |_| ()).await.doing(what)?;
            Ok(turned_away)
        };
        timeout(PATIENCE, whole).await.doing(what)?
    }

    /// Says something at an address with a signature; the answer's tag and its text.
    pub async fn say(&self, method: &Method, to: &str, content: &Content) -> Result<(String, String)> {
        let uri = to.parse().doing("a signed address")?;
        let (answer, _) = self.ask(method, &uri, None, content).await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        let mut text = Vec::new();
        read(answer, |bytes| text.extend_from_slice(bytes)).await.doing("an answer")?;
        Ok((tag, String::from_utf8_lossy(&text).into_owned()))
    }

    /// Fetches an object, which must have this size.
    pub async fn get(&self, from: &Address, size: u64, hashed: bool) -> Result<Fetched> {
        let (what, nothing) = ("fetching an object", Content::text(String::new()));
        let whole = async {
            let (answer, turned_away) = self.ask(&Method::GET, &from.get, from.authorization.as_ref(), &nothing).await?;
            let mut hash = hashed.then(Sha256::new);
            let each = |bytes: &Bytes| {
                if let Some(hash) = &mut hash {
                    hash.update(bytes);
                }
            };
            let length = read(answer, each).await.doing(what)?;
            if length != size {
                return Err(Failure::new(format!("an object came with {length} bytes and not with {size}")));
            }
            Ok(Fetched { turned_away, sha256: hash.map(|hash| hash.finalize().into()) })
        };
        timeout(PATIENCE, whole).await.doing(what)?
    }

    /// The answer, which is that all went well. Where it is that the client may come again later, it does so.
    async fn ask(
        &self,
        method: &Method,
        uri: &Uri,
        authorization: Option<&HeaderValue>,
        content: &Content,
    ) -> Result<(Response<Incoming>, u32)> {
        let mut turned_away = 0;
        loop {
            let mut request = Request::new(content.clone());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            if content.left() > 0 {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            }
            if let Some(authorization) = authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            let answer = self.0.request(request).await.doing(&format!("{method} {}", uri.path()))?;
            let status = answer.status();
            if status.is_success() {
                return Ok((answer, turned_away));
            }
            let later = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let mut told = Vec::new();
            let _ = read(answer, |bytes| told.extend_from_slice(&bytes[..bytes.len().min(TOLD)])).await;
            if let Some(seconds) = later
                && status == StatusCode::SERVICE_UNAVAILABLE
                && turned_away < TIMES
            {
                turned_away += 1;
                sleep(Duration::from_secs(seconds)).await;
                continue;
            }
            let told = String::from_utf8_lossy(&told);
            return Err(Failure::new(format!("{method} {} was answered {status}: {told}", uri.path())));
        }
    }
}

/// Reads an answer to its end; how many bytes it had.
async fn read(answer: Response<Incoming>, mut each: impl FnMut(&Bytes)) -> hyper::Result<u64> {
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Some(bytes) = frame?.data_ref() {
            length += bytes.len() as u64;
            each(bytes);
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use tokio::runtime::Runtime;

    use super::super::content::Noise;
    use super::*;

    /// Reads a request with its body; false where there is none any more.
    fn take(reader: &mut impl BufRead) -> bool {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.trim().parse().unwrap();
            }
            if line == "\r\n" {
                return reader.read_exact(&mut vec![0; length]).is_ok();
            }
        }
    }

    /// A server that gives these answers, one after the other, on whatever connections the client makes.
    fn serve(answers: Vec<&'static str>) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/object", listener.local_addr().unwrap()).parse().unwrap();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(std::result::Result::ok) {
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while take(&mut reader) {
                        let Some(answer) = answers.lock().unwrap().next() else { return };
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                });
            }
        });
        uri
    }

    #[test]
    fn who_is_told_to_come_later_does_and_lengths_are_looked_at() {
        let uri = serve(vec![
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy",
            "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
        ]);
        let address = Address { put: uri.clone(), get: uri, authorization: None, parts: None };
        Runtime::new().unwrap().block_on(async {
            let client = Client::new();
            assert_eq!(client.put(&address, &Noise::new().object(1, 100_000)).await.unwrap(), 1);
            let short = client.get(&address, 6, false).await.unwrap_err().to_string();
            assert_eq!(short, "an object came with 5 bytes and not with 6");
            let gone = client.get(&address, 6, false).await.unwrap_err().to_string();
            assert_eq!(gone, "GET /object was answered 404 Not Found: gone");
        });
    }
}
