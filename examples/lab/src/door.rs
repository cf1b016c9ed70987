//! A listening address that can be closed and opened again while the lab runs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::exchange;
use crate::service::Service;
use crate::world::World;

const BACKLOG: u32 = 1024;

/// One service's address. While it is closed, connections to it are refused.
#[derive(Debug)]
pub(crate) struct Door {
    service: Service,
    address: SocketAddr,
    /// Bound but never listening: it keeps the port from being given to someone else.
    _reservation: TcpSocket,
    open: Mutex<Option<Open>>,
    is_open: AtomicBool,
}

#[derive(Debug)]
struct Open {
    accepting: JoinHandle<()>,
    /// Tells the connections to end, and when they have.
    connections: watch::Sender<()>,
}

impl Door {
    pub(crate) fn new(service: Service, port: u16) -> io::Result<Door> {
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        Ok(Door {
            service,
            address: reservation.local_addr()?,
            _reservation: reservation,
            open: Mutex::new(None),
            is_open: AtomicBool::new(false),
        })
    }

    pub(crate) fn service(&self) -> Service {
        self.service
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Starts to listen; nothing happens when it listens already.
    pub(crate) async fn open(&self, world: &Arc<World>, router: Router) -> io::Result<()> {
        let mut open = self.open.lock().await;
        if open.is_some() {
            return Ok(());
        }
        let listener = bind(self.address)?.listen(BACKLOG)?;
        let (sender, receiver) = watch::channel(());
        *open = Some(Open {
            accepting: tokio::spawn(accept(
                listener,
                Arc::clone(world),
                self.service,
                router,
                receiver,
            )),
            connections: sender,
        });
        self.is_open.store(true, Ordering::Release);
        Ok(())
    }

    /// Stops listening and cuts all connections. When this returns, none is left and new ones are
    /// refused.
    pub(crate) async fn close(&self) {
        let mut open = self.open.lock().await;
        self.is_open.store(false, Ordering::Release);
        if let Some(Open {
            accepting,
            connections,
        }) = open.take()
        {
            accepting.abort();
            let _ = accepting.await;
            connections.send_replace(());
            connections.closed().await;
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(
    listener: TcpListener,
    world: Arc<World>,
    service: Service,
    router: Router,
    closed: watch::Receiver<()>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(&world), service, router.clone());
                let mut closed = closed.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        _ = closed.changed() => {}
                    }
                });
            }
            // Out of file descriptors, for example: others will close some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>, service: Service, router: Router) {
    let _ = stream.set_nodelay(true);
    let acceptor = world.tls.as_ref().map(|tls| match service {
        // Tests that have no certificate yet control the lab here.
        Service::Admin => tls.open.clone(),
        _ => tls.guarded.clone(),
    });
    match acceptor {
        None => serve(stream, world, service, router).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, world, service, router).await;
            }
        }
    }
}

async fn serve<S>(stream: S, world: Arc<World>, service: Service, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (world, router) = (Arc::clone(&world), router.clone());
        async move { exchange::perform(&world, service, router, request.map(Body::new)).await }
    });
    // Faults and impatient callers end connections in every way there is.
    let _ = http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}
