//! The program that the built-in images are made of.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A busybox that runs anywhere, since it needs no libraries.
#[derive(Debug)]
pub(super) struct Busybox {
    program: PathBuf,
    /// The paths by which its tools are known, `usr/bin/env`.
    tools: Vec<String>,
}

impl Busybox {
    /// The one that is named, or else the first static one of the machine. The error says what to install.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, String> {
        let program = match named {
            Some(program) => {
                let wrong = |why: &str| format!("--busybox {}: {why}", program.display());
                match is_static(program) {
                    Ok(true) => program.to_owned(),
                    Ok(false) => {
                        return Err(wrong(
                            "it is linked with libraries, which an image does not have; the package busybox-static has one that is not",
                        ));
                    }
                    Err(error) => return Err(wrong(&error.to_string())),
                }
            }
            None => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let found = std::env::split_paths(&path)
                    .chain(["/bin".into(), "/usr/bin".into()])
                    .map(|folder| folder.join("busybox"))
                    .find(|program| is_static(program).unwrap_or(false));
                found.ok_or(
                    "there is no static busybox on this machine, which the built-in images are made of: install the package \
                     busybox-static, or name one with --busybox",
                )?
            }
        };
        let list = Command::new(&program).arg("--list-full").stdin(Stdio::null()).output();
        let list = list.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let tools: Vec<String> = String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect();
        let missing = ["sh", "nc", "httpd"].into_iter().find(|tool| !tools.iter().any(|path| name_of(path) == *tool));
        match missing {
            Some(tool) => {
                Err(format!("{} has no {tool}: the package busybox-static has one that does", program.display()))
            }
            None => Ok(Self { program, tools }),
        }
    }

    /// Writes it and its tools into a root file system: where the machine has them, and in `/bin`, as the image of that name does.
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        let bin = root.join("bin");
        fs::create_dir_all(&bin)?;
        let program = bin.join("busybox");
        fs::copy(&self.program, &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        for tool in &self.tools {
            for path in [root.join(tool), bin.join(name_of(tool))] {
                if path.symlink_metadata().is_err() {
                    fs::create_dir_all(path.parent().unwrap_or(root))?;
                    symlink("/bin/busybox", path)?;
                }
            }
        }
        Ok(())
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a program asks for no interpreter: the kernel starts it alone.
fn is_static(program: &Path) -> io::Result<bool> {
    const INTERPRETER: u32 = 3;
    let bytes = fs::read(program)?;
    let no_program = || io::Error::other("it is not a program of this machine");
    let number = |at: usize, size: usize| -> Option<u64> {
        let mut number = [0; 8];
        number[..size].copy_from_slice(bytes.get(at..at + size)?);
        Some(u64::from_le_bytes(number))
    };
    // The header of a 64-bit little-endian ELF file, which is what this program runs on.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(no_program());
    }
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (Some(table), Some(size), Some(count)) = (table, size, count) else { return Err(no_program()) };
    for index in 0..count {
        let at = usize::try_from(table + index * size).map_err(|_| no_program())?;
        if number(at, 4).ok_or_else(no_program)? == u64::from(INTERPRETER) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busybox_that_cannot_be_used_is_refused_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        fs::write(&text, "#!/bin/sh\n").unwrap();
        let problem = Busybox::find(Some(&text)).unwrap_err();
        assert!(
            problem.starts_with("--busybox ") && problem.ends_with("it is not a program of this machine"),
            "{problem}"
        );
        let problem = Busybox::find(Some(Path::new("/bin/ls"))).unwrap_err();
        assert!(problem.contains("linked with libraries") && problem.contains("busybox-static"), "{problem}");
        assert!(Busybox::find(Some(&folder.path().join("none"))).unwrap_err().contains("No such file"));
    }
}
