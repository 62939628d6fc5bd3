//! Server-sent events, taken apart as they come (WHATWG HTML, "Interpreting an event stream"). Only what `/status/stream`
//! needs: the data of each event; `id` and `retry` are passed over.

/// Bytes of one event; a snapshot has some thousands.
const LONGEST: usize = 4 * 1024 * 1024;

/// An event is longer than any snapshot can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {LONGEST} bytes: is that the admin listener?")]
pub struct TooLong;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Events {
    /// Of the line that has not ended yet.
    line: Vec<u8>,
    /// Of the event that has not ended yet; `None` before its first `data`.
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return: a line feed after it ends no further line.
    after_return: bool,
}

impl Events {
    /// The data of the events that these bytes complete.
    ///
    /// # Errors
    /// An event that is too long.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut complete = Vec::new();
        for byte in bytes {
            let second_of_two = *byte == b'\n' && std::mem::take(&mut self.after_return);
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if second_of_two => {}
                b'\n' | b'\r' => complete.extend(self.end_of_line()),
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(complete)
    }

    /// An empty line ends an event.
    fn end_of_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let text = b": hello\n\nevent: status\ndata: {\"a\":\ndata:1}\nid: 7\n\ndata: two\r\n\r\ndata: three\r\rdata: half";
        let expected = [&b"{\"a\":\n1}"[..], b"two", b"three"];
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<_> = text.chunks(size).flat_map(|piece| events.feed(piece).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut events = Events::default();
        assert_eq!(events.feed(b"data: x\n"), Ok(vec![]));
        assert_eq!(events.feed(&vec![b'x'; LONGEST]), Err(TooLong));
    }
}
