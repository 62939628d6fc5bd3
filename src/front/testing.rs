//! A handler for the tests of this room: answers by a function, remembers what was refused.

use super::handler::{Conn, FastRequest, Handler};
use super::known::Known;
use super::refusal::Refusal;
use crate::body::{InBody, OutBody, Window};
use crate::interim::InterimSender;
use crate::time::Now;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::{Arc, Mutex};

pub struct Script<F> {
    answer: F,
    refused: Mutex<Vec<Refusal>>,
}

impl<F> Script<F> {
    pub fn new(answer: F) -> Arc<Self> {
        Arc::new(Self { answer, refused: Mutex::default() })
    }
    pub fn refused(&self) -> Vec<Refusal> {
        self.refused.lock().unwrap().clone()
    }
}

impl<F, Answer> Handler for Script<F>
where
    F: Fn(Request<InBody>, Arc<Conn>, InterimSender) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Response<OutBody>> + Send + 'static,
{
    type Record = ();

    fn handle(
        &self,
        request: Request<InBody>,
        conn: Arc<Conn>,
        interim: InterimSender,
    ) -> impl Future<Output = Response<OutBody>> + Send + 'static {
        (self.answer)(request, conn, interim)
    }
    fn fast(&self, _: &FastRequest<'_>, _: &Conn, _: &mut Vec<u8>) -> Option<()> {
        None
    }
    fn fast_body<'r>(&self, (): &'r ()) -> Window<'r> {
        Window::default()
    }
    fn fast_sent(&self, (): (), _: &Conn, _: u64, _: bool) {}
    fn refused(&self, refusal: Refusal, _: &Conn, _: &Known) -> Bytes {
        self.refused.lock().unwrap().push(refusal);
        Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    }
    /// 418: cannot be confused with an answer of the handler, or of `h2` itself.
    fn refused_response(&self, refusal: Refusal, _: &Conn, _: &Known) -> Response<OutBody> {
        self.refused.lock().unwrap().push(refusal);
        Response::builder().status(418).body(OutBody::full("refused")).unwrap()
    }
    fn now(&self) -> Now {
        Now::default()
    }
}
