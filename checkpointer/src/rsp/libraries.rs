//! Shared libraries as the dynamic linker lists them in the program's memory (svr4: link.h, struct r_debug and link_map).

use super::target::Target;

const DT_NULL: u64 = 0;
const DT_DEBUG: u64 = 21;
const PT_PHDR: u32 = 6;
const PT_DYNAMIC: u32 = 2;

/// More than any program loads: a list that is being changed, or broken, may have no end.
const MOST: usize = 4096;

fn word(target: &mut dyn Target, address: u64) -> Option<u64> {
    let mut bytes = [0u8; 8];
    (target.read(address, &mut bytes).ok()? == 8).then(|| u64::from_le_bytes(bytes))
}

fn string(target: &mut dyn Target, address: u64) -> Option<String> {
    let mut text = Vec::new();
    while text.len() < 4096 {
        // Up to the end of a page: what follows may not be there.
        let room = 4096 - (address + text.len() as u64) % 4096;
        let mut chunk = vec![0u8; usize::try_from(room.min(256)).ok()?];
        let read = target.read(address + text.len() as u64, &mut chunk).ok()?;
        if let Some(end) = chunk[..read].iter().position(|byte| *byte == 0) {
            text.extend(&chunk[..end]);
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend(&chunk[..read]);
    }
    None
}

/// Addresses of the first `link_map` and of the `r_debug` that names it.
fn first(target: &mut dyn Target) -> Option<(u64, u64)> {
    let pid = target.real_process()?;
    let auxv = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let entry = |wanted: u64| {
        auxv.chunks_exact(16).find_map(|pair| {
            let key = u64::from_le_bytes(pair[..8].try_into().ok()?);
            (key == wanted).then(|| u64::from_le_bytes(pair[8..].try_into().unwrap_or([0; 8])))
        })
    };
    let (headers, size, count) = (entry(libc::AT_PHDR)?, entry(libc::AT_PHENT)?, entry(libc::AT_PHNUM)?);
    let mut bias = 0;
    let mut dynamic = None;
    for index in 0..count.min(128) {
        let mut header = [0u8; 56];
        if target.read(headers + index * size, &mut header).ok()? != 56 {
            return None;
        }
        let kind = u32::from_le_bytes(header[..4].try_into().ok()?);
        let address = u64::from_le_bytes(header[16..24].try_into().ok()?);
        match kind {
            PT_PHDR => bias = headers.wrapping_sub(address),
            PT_DYNAMIC => dynamic = Some(address),
            _ => {}
        }
    }
    let mut at = dynamic?.wrapping_add(bias);
    for _ in 0..256 {
        let (tag, value) = (word(target, at)?, word(target, at + 8)?);
        match tag {
            DT_NULL => return None,
            DT_DEBUG if value == 0 => return None,
            // struct r_debug: int r_version; struct link_map *r_map
            DT_DEBUG => return word(target, value + 8).filter(|map| *map != 0).map(|map| (map, value)),
            _ => at += 16,
        }
    }
    None
}

/// The instruction that the dynamic linker executes after it has mapped or unmapped something (link.h, `r_brk`).
pub(crate) fn after_changes(target: &mut dyn Target) -> Option<u64> {
    let (_, space) = first(target)?;
    word(target, space + 16).filter(|at| *at != 0)
}

/// The list, in XML. lldb would take `main-lm` for the address of the `r_debug`, and is better off without it.
pub(super) fn list(target: &mut dyn Target, names_main: bool) -> String {
    let Some((main, space)) = first(target) else { return "<library-list-svr4 version=\"1.0\"/>".to_owned() };
    let mut list = match names_main {
        true => format!("<library-list-svr4 version=\"1.0\" main-lm=\"{main:#x}\">"),
        false => "<library-list-svr4 version=\"1.0\">".to_owned(),
    };
    let mut map = main;
    for _ in 0..MOST {
        // struct link_map: l_addr, l_name, l_ld, l_next
        let (Some(address), Some(name), Some(dynamic), Some(next)) =
            (word(target, map), word(target, map + 8), word(target, map + 16), word(target, map + 24))
        else {
            break;
        };
        let name = string(target, name).unwrap_or_default();
        if map != main && !name.is_empty() {
            let name = escaped(&name);
            list += &format!(
                "<library name=\"{name}\" lm=\"{map:#x}\" l_addr=\"{address:#x}\" l_ld=\"{dynamic:#x}\" \
                 lmid=\"{space:#x}\"/>"
            );
        }
        if next == 0 {
            break;
        }
        map = next;
    }
    list += "</library-list-svr4>";
    list
}

/// A text as XML takes it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}
