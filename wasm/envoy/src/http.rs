//! A blocking HTTP/1.1 client that shows answers as they are: no redirect followed, no token known.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Nothing that is asked for takes longer, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    host: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    ends: bool,
}

impl Request {
    /// A GET.
    pub fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    /// Any method, no body.
    pub fn new(method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A POST.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
        let mut request = Request::new("POST", path);
        request.body = body.into();
        request
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A token of the caller's own.
    #[must_use]
    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Another Host than the address.
    #[must_use]
    pub fn host(mut self, host: &str) -> Request {
        self.host = Some(host.to_owned());
        self
    }

    /// Sends it on a connection of its own.
    pub fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        Connection::open(to)?.send(self)
    }

    /// Sends it and hangs up without reading the answer.
    pub fn abandon(&self, to: SocketAddr, after: Duration) -> io::Result<()> {
        let mut connection = Connection::open(to)?;
        connection.write(self)?;
        std::thread::sleep(after);
        connection.stream.get_ref().shutdown(Shutdown::Both)
    }
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection {
            address,
            stream: BufReader::new(stream),
            ends: false,
        })
    }

    /// Whether the other side has said that it closes the connection.
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// Sends a request and waits for its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        self.write(request)?;
        self.read(request.method == "HEAD")
    }

    fn write(&mut self, request: &Request) -> io::Result<()> {
        let host = match &request.host {
            Some(host) => host.clone(),
            None => self.address.to_string(),
        };
        let mut message = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\n",
            request.method, request.path
        );
        for (name, value) in &request.headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        if !request.body.is_empty() || request.method == "POST" {
            message.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
        }
        message.push_str("\r\n");
        let mut bytes = message.into_bytes();
        bytes.extend(&request.body);
        match self.stream.get_mut().write_all(&bytes) {
            // A server may answer before it has read a whole body.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !request.body.is_empty() => {
                Ok(())
            }
            written => written,
        }
    }

    fn read(&mut self, head_only: bool) -> io::Result<Answer> {
        loop {
            let mut answer = self.read_head()?;
            if (100..200).contains(&answer.status) {
                continue;
            }
            self.ends = answer
                .header("Connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            if head_only || matches!(answer.status, 204 | 304) {
                return Ok(answer);
            }
            answer.body = self.read_body(&answer)?;
            return Ok(answer);
        }
    }

    fn read_head(&mut self) -> io::Result<Answer> {
        let status = self
            .line()?
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    fn read_body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = answer.header("Content-Length") {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        } else if answer.header("Transfer-Encoding").is_some() {
            loop {
                let size = self.line()?;
                let size =
                    usize::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.ends = true;
            self.stream.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
